"""Learning curves: every figure of the model over the rounds, as a line and as numbers."""

from __future__ import annotations

import math

from asyncagg.report.markup import Markup, table, tag
from asyncagg.report.story import Story

_WIDTH, _HEIGHT = 420, 160
_MARGIN = 8
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def curves(story: Story) -> Markup:
    """Nothing where nothing was evaluated."""
    names = list({name: None for each in story.rounds for name in each.metrics})
    if not names:
        return Markup()
    lines = [_chart(story, name, _COLOURS[at % len(_COLOURS)]) for at, name in enumerate(names)]
    rows: list[list[object]] = [
        [each.round, *(_shown(each.metrics.get(name)) for name in names)] for each in story.rounds if each.metrics
    ]
    numbers = tag("details", tag("summary", "as numbers"), table(["round", *names], rows))
    return tag("section", tag("h2", "What it learnt"), tag("div", *lines, class_="charts"), numbers, id="curves")


def _shown(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def _chart(story: Story, name: str, colour: str) -> Markup:
    values = [(each.round, each.metrics[name]) for each in story.rounds if name in each.metrics]
    known = [(at, value) for at, value in values if math.isfinite(value)]
    if not known:
        return tag("p", f"{name}: no finite value")
    first, last = known[0][0], known[-1][0]
    low, high = min(value for _, value in known), max(value for _, value in known)
    points = [(_at(at, first, last, _WIDTH), _HEIGHT - _at(value, low, high, _HEIGHT)) for at, value in known]
    way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = (
        tag("circle", tag("title", f"round {at}: {value:.4g}"), cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.5, fill=colour)
        for (at, value), (x, y) in zip(known, points, strict=True)
    )
    title = f"{name}: {known[0][1]:.4g} after round {first}, {known[-1][1]:.4g} after round {last}"
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    drawn = tag(
        "svg",
        tag("path", d=way, fill="none", stroke=colour, stroke_width=1.5),
        *dots,
        viewBox=box,
        role="img",
        aria_label=title,
    )
    return tag("figure", tag("figcaption", title), drawn)


def _at(value: float, low: float, high: float, length: int) -> float:
    """Position of a value on an axis with margins."""
    part = 0.5 if high == low else (value - low) / (high - low)
    return _MARGIN + part * (length - 2 * _MARGIN)
