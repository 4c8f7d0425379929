"""Numbers as people read them: bytes, times, figures of a model, counted things."""

from __future__ import annotations

from collections.abc import Mapping


def size(count: int) -> str:
    """Bytes in decimal units, `1.25 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.4g} TB"


def seconds(value: float) -> str:
    """A duration, `12.5 s` or `1.2 ms`."""
    return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value:.3g} s" if value < 1000 else f"{value:.0f} s"


def figures(metrics: Mapping[str, float]) -> str:
    """Measurements of the model, as in `loss 0.31, accuracy 0.912`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def number(count: int, what: str) -> str:
    """`1 round`, `3 rounds`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
