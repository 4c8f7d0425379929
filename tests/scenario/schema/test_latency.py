"""Measured latencies, read out of a file."""

from pathlib import Path

import pytest

from asyncagg.scenario import ScenarioError, parse
from asyncagg.scenario.schema.latency import EmpiricalSection, samples

MS = 1_000_000


def test_a_file_of_samples_is_milliseconds_a_line() -> None:
    text = "# measured at home\n12\n\n 12.5 # the median\n1e2\n"
    assert samples(text) == (12 * MS, 12_500_000, 100 * MS)


def test_samples_may_stand_in_any_order_below_a_header_and_beside_names_of_rows() -> None:
    wanted = (12 * MS, 12_500_000, 100 * MS)
    assert samples("rtt (ms)\r\n100\r\n12\r\n12.5\r\n") == wanted
    assert samples('"","rtt"\n"1",100\n"2",12\n"3","12.5"\n') == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1: 0 latencies"),
        ("5\n", "1: 1 latencies"),
        ("rtt\n5\n", "1: 1 latencies"),
        ("5\n\nfast\n", "3: 'fast' is no number"),
        ("rtt\nms\n5\n6\n", "2: 'ms' is no number"),
        ("12 ms\n13 ms\n", "1: '12 ms' is no number"),
        ("12,5\n13,5\n", "1: has 2 fields"),
        ("-1\n4\n", "1: -1 ms is out of range"),
        ("1\nnan\n", "2: nan ms is out of range"),
        ("inf\n1\n", "1: inf ms is out of range"),
        ("1\n3600001\n", "2: 3600001 ms is out of range"),
        ('1\n"2\n', "2: is no line of values with commas between them"),
    ],
)
def test_a_bad_file_of_samples_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        samples(text)


def of_file(path: Path) -> EmpiricalSection:
    latency = {"model": "empirical", "file": str(path)}
    read = parse({"name": "x", "network": {"latency": latency}}).network.latency
    assert isinstance(read, EmpiricalSection)
    return read


def test_a_byte_order_mark_is_no_part_of_the_first_sample(tmp_path: Path) -> None:
    """As Excel ("CSV UTF-8") and PowerShell write it."""
    (tmp_path / "rtt.csv").write_bytes(b"\xef\xbb\xbf12.1\r\n13.4\r\n250.9\r\n")
    assert of_file(tmp_path / "rtt.csv").quantiles_ns == (12_100_000, 13_400_000, 250_900_000)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "rtt.csv"
    key = f"scenario: network.latency.file: {path}"
    with pytest.raises(ScenarioError) as caught:
        of_file(path)
    assert caught.value.lines == (f"{key}: No such file or directory (a path relative to the scenario's folder)",)
    path.write_bytes(b"12\n\xff\n")
    with pytest.raises(ScenarioError) as caught:
        of_file(path)
    assert caught.value.lines == (f"{key}:2: is not UTF-8 (one latency in milliseconds a line)",)
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(ScenarioError) as caught:
        of_file(path)
    assert caught.value.lines == (f"{key} is too large (at most 16 MiB)",)
