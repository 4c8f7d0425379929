"""What a benchmark hands back, and how the rows are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    what: the work, in a few words; figure and unit: what was measured ("messages/s", "GB/s", "ms");
    ratio: this figure over the one that `against` names, a limit or a peer measured in the same run;
    target: what the figure must reach (always "at least"), None where nothing is promised.
    """

    what: str
    figure: float
    unit: str
    ratio: float
    against: str
    target: float | None = None

    @property
    def missed(self) -> bool:
        """Whether a target stands and the figure is below it."""
        return self.target is not None and self.figure < self.target


_HEAD = ("benchmark", "what", "figure", "unit", "ratio", "against", "target")
_NUMERIC = frozenset({"figure", "ratio"})


def render(results: Mapping[str, Sequence[Row]]) -> str:
    """The table as text: one line a row, columns aligned, benchmarks in the order given."""
    lines = [_HEAD, *(_cells(name, row) for name, rows in results.items() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(_aligned(line, widths) for line in lines)


def _cells(name: str, row: Row) -> tuple[str, ...]:
    target = "" if row.target is None else f"{_number(row.target)} {'MISSED' if row.missed else 'met'}"
    return (name, row.what, _number(row.figure), row.unit, f"{row.ratio:.2f}", row.against, target)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if head in _NUMERIC else cell.ljust(width)
        for head, cell, width in zip(_HEAD, cells, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()
