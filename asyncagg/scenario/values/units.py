"""Quantities with units: text such as "40 ms" or "1 GiB" to an exact integer, and back.

Durations become nanoseconds, sizes bytes, bandwidths bits per second, rates bytes per second. Decimals are
exact ("1.5 s" is 1,500,000,000 ns); what is no whole number of the base unit is refused, not rounded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from asyncagg.net.durations import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS
from asyncagg.scenario.errors import show

MIB = 1 << 20
GIB = 1 << 30

_LARGEST = 2**63 - 1
_SHAPE = re.compile(r"([+-]?)([0-9]{1,20}(?:\.[0-9]{1,20})?) ?([A-Za-zµμ]+)(/s)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quantity:
    """One kind of quantity: its units, smallest first, each with its size in the base unit."""

    what: str
    example: str
    base: str
    units: Mapping[str, int] = field(hash=False)
    zero: str
    per_second: bool = False

    def parse(self, value: object) -> int:
        """The value in the base unit; ValueError saying what is wrong and what would be right."""
        sign, number, unit, slash = self._split(value)
        if unit not in self.units or (slash and not self.per_second):
            raise ValueError(f"is {show(value)}: there is no unit {show(unit + slash)} ({self._choices()})")
        amount = Fraction(number) * self.units[unit]
        if sign == "-" and amount:
            raise ValueError(f"is {show(value)}, which is negative ({self.what} of zero or more)")
        if amount.denominator != 1:
            raise ValueError(f"is {show(value)}, not a whole number of {self.base} ({self._such_as()})")
        if amount > _LARGEST:
            raise ValueError(f"is {show(value)}, too large (at most {self.format(_LARGEST)})")
        return amount.numerator

    def parse_positive(self, value: object) -> int:
        """Parse as `parse` does, refusing zero."""
        amount = self.parse(value)
        if amount == 0:
            raise ValueError(f"is {show(value)} ({self.what} above zero, {self._such_as(False)})")
        return amount

    def pattern(self, positive: bool = False) -> str:
        """A regular expression, of ECMA 262, for what `parse` takes: an editor finds a wrong unit with it.

        What only arithmetic finds is left to `parse`: parts of a base unit, and numbers that are too large.
        """
        number = r"\+?[0-9]{1,20}(\.[0-9]{1,20})?|-0{1,20}(\.0{1,20})?"
        if positive:
            number = r"\+?([0-9]*[1-9][0-9]*(\.[0-9]{1,20})?|[0-9]{1,20}\.[0-9]*[1-9][0-9]*)"
        units = "|".join([*self.units, *(unit.replace("u", mu) for unit in self.units if "u" in unit for mu in "µμ")])
        return rf"^\s*({number}) ?({units}){'(/s)?' if self.per_second else ''}\s*$"

    def format(self, amount: int) -> str:
        """The shortest exact text: the largest unit that divides the amount; `parse` reads it back."""
        if amount == 0:
            return self.zero
        unit, size = max(
            ((name, size) for name, size in self.units.items() if amount % size == 0),
            key=lambda item: item[1],
        )
        return f"{amount // size} {unit}"

    def _split(self, value: object) -> tuple[str, str, str, str]:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"is {show(value)}, a number without a unit ({self._such_as()})")
        found = _SHAPE.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"is {show(value)} ({self._such_as()})")
        sign, number, unit, slash = found.groups(default="")
        return sign, number, unit.replace("µ", "u").replace("μ", "u"), slash

    def _such_as(self, with_what: bool = True) -> str:
        return f'{self.what} such as "{self.example}"' if with_what else f'such as "{self.example}"'

    def _choices(self) -> str:
        return f"one of {', '.join(self.units)}"


DURATION = Quantity(
    what="a duration",
    example="40 ms",
    base="nanoseconds",
    units={
        "ns": 1,
        "us": MICROSECOND_NS,
        "ms": MILLISECOND_NS,
        "s": SECOND_NS,
        "min": 60 * SECOND_NS,
        "h": 3600 * SECOND_NS,
    },
    zero="0 s",
)

_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KiB": 1 << 10,
    "MB": 10**6,
    "MiB": MIB,
    "GB": 10**9,
    "GiB": GIB,
    "TB": 10**12,
    "TiB": 1 << 40,
}

SIZE = Quantity(what="a size", example="4 MiB", base="bytes", units=_BYTES, zero="0 B")

RATE = Quantity(
    what="a rate in bytes per second",
    example="9 GB",
    base="bytes per second",
    units=_BYTES,
    zero="0 B",
    per_second=True,
)

BANDWIDTH = Quantity(
    what="a bandwidth in bits per second",
    example="10 Mbit",
    base="bits per second",
    units={"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9, "Tbit": 10**12},
    zero="0 bit",
    per_second=True,
)
