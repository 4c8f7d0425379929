"""Text with units to exact integers, and back."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncagg.scenario.values.units import BANDWIDTH, DURATION, RATE, SIZE, Quantity


@pytest.mark.parametrize(
    ("quantity", "text", "amount"),
    [
        (DURATION, "40 ms", 40_000_000),
        (DURATION, "1.5 s", 1_500_000_000),
        (DURATION, "30s", 30_000_000_000),
        (DURATION, " 7 ns ", 7),
        (DURATION, "2 min", 120_000_000_000),
        (DURATION, "0.5 h", 1_800_000_000_000),
        (DURATION, "3 µs", 3_000),
        (DURATION, "3 μs", 3_000),
        (DURATION, "0 s", 0),
        (DURATION, "-0 s", 0),
        (DURATION, "0.000000001 s", 1),
        (SIZE, "4 MiB", 4 * 2**20),
        (SIZE, "1.5 kB", 1_500),
        (SIZE, "12 B", 12),
        (RATE, "9 GB", 9 * 10**9),
        (RATE, "9 GB/s", 9 * 10**9),
        (BANDWIDTH, "10 Mbit", 10**7),
        (BANDWIDTH, "10 Mbit/s", 10**7),
        (BANDWIDTH, "0.5 Gbit", 5 * 10**8),
    ],
)
def test_reads(quantity: Quantity, text: str, amount: int) -> None:
    assert quantity.parse(text) == amount


@pytest.mark.parametrize(
    ("quantity", "value", "message"),
    [
        (DURATION, 40, 'is 40, a number without a unit (a duration such as "40 ms")'),
        (DURATION, 1.5, 'is 1.5, a number without a unit (a duration such as "40 ms")'),
        (DURATION, True, 'is true (a duration such as "40 ms")'),
        (DURATION, None, 'is null (a duration such as "40 ms")'),
        (DURATION, ["40 ms"], 'is a list (a duration such as "40 ms")'),
        (DURATION, "soon", 'is "soon" (a duration such as "40 ms")'),
        (DURATION, "40", 'is "40" (a duration such as "40 ms")'),
        (DURATION, "1e3 ms", 'is "1e3 ms" (a duration such as "40 ms")'),
        (DURATION, "٣ ms", 'is "٣ ms" (a duration such as "40 ms")'),
        (DURATION, "40 sec", 'is "40 sec": there is no unit "sec" (one of ns, us, ms, s, min, h)'),
        (DURATION, "40 ms/s", 'is "40 ms/s": there is no unit "ms/s" (one of ns, us, ms, s, min, h)'),
        (DURATION, "-5 ms", 'is "-5 ms", which is negative (a duration of zero or more)'),
        (DURATION, "0.3 ns", 'is "0.3 ns", not a whole number of nanoseconds (a duration such as "40 ms")'),
        (DURATION, "3000000 h", 'is "3000000 h", too large (at most 9223372036854775807 ns)'),
        (BANDWIDTH, "10 Mb", 'is "10 Mb": there is no unit "Mb" (one of bit, kbit, Mbit, Gbit, Tbit)'),
        (
            SIZE,
            "1 gib",
            'is "1 gib": there is no unit "gib" (one of B, kB, KiB, MB, MiB, GB, GiB, TB, TiB)',
        ),
    ],
)
def test_refuses(quantity: Quantity, value: object, message: str) -> None:
    with pytest.raises(ValueError, match="is ") as caught:
        quantity.parse(value)
    assert str(caught.value) == message


def test_refuses_zero_where_it_must_be_positive() -> None:
    with pytest.raises(ValueError, match="above zero") as caught:
        DURATION.parse_positive("0 ms")
    assert str(caught.value) == 'is "0 ms" (a duration above zero, such as "40 ms")'
    assert DURATION.parse_positive("1 ns") == 1


@pytest.mark.parametrize(
    ("quantity", "amount", "text"),
    [
        (DURATION, 0, "0 s"),
        (DURATION, 40_000_000, "40 ms"),
        (DURATION, 1_500_000_000, "1500 ms"),
        (DURATION, 90 * 10**9, "90 s"),
        (DURATION, 3600 * 10**9, "1 h"),
        (SIZE, 2**30, "1 GiB"),
        (SIZE, 10**9, "1 GB"),
        (SIZE, 0, "0 B"),
        (BANDWIDTH, 10**7, "10 Mbit"),
        (BANDWIDTH, 0, "0 bit"),
        (RATE, 9 * 10**9, "9 GB"),
    ],
)
def test_writes_the_largest_unit_that_fits(quantity: Quantity, amount: int, text: str) -> None:
    assert quantity.format(amount) == text


@given(st.sampled_from([DURATION, SIZE, RATE, BANDWIDTH]), st.integers(0, 2**63 - 1))
def test_what_is_written_reads_back(quantity: Quantity, amount: int) -> None:
    assert quantity.parse(quantity.format(amount)) == amount


NAMES = sorted({unit for each in (DURATION, SIZE, RATE, BANDWIDTH) for unit in each.units} | {"µs", "us", "sec"})
NUMBERS = st.from_regex(r"[+-]?[0-9]{0,3}(\.[0-9]{0,3})?", fullmatch=True)
SPACES = st.sampled_from(["", " ", "  "])
TEXTS = st.tuples(SPACES, NUMBERS, SPACES, st.sampled_from(NAMES), st.sampled_from(["", "/s"])).map("".join)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("quantity", [DURATION, SIZE, RATE, BANDWIDTH])
@given(text=TEXTS)
@example(text="-0 s")
@example(text="0.00 ms")
def test_the_pattern_for_editors_takes_what_is_parsed(quantity: Quantity, positive: bool, text: str) -> None:
    """It refuses whatever `parse` does but for parts of a base unit, and numbers that are too large."""
    taken = re.search(quantity.pattern(positive), text, re.ASCII) is not None
    refusal = refused(quantity, text, positive)
    assert taken == (refusal is None) or (taken and re.search("not a whole number|too large", refusal or ""))


def refused(quantity: Quantity, text: str, positive: bool) -> str | None:
    try:
        (quantity.parse_positive if positive else quantity.parse)(text)
    except ValueError as error:
        return str(error)
    return None
