"""Numbers as people read them: bytes, times, figures of a model, counted things."""

from __future__ import annotations

from collections.abc import Mapping


def size(count: float) -> str:
    """Bytes in decimal units, `1.25 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def seconds(value: float) -> str:
    """A duration, `12.5 s` or `1.2 ms`."""
    return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value:.3g} s" if value < 1000 else f"{value:.0f} s"


def figures(metrics: Mapping[str, float]) -> str:
    """Measurements of the model, as in `loss 0.31, accuracy 0.912`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def number(count: int, what: str) -> str:
    """`1 round`, `3 rounds`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def many(count: int, what: str) -> str:
    """The same with commas, `1,000 messages`: for the page, where counts are large."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
