"""The critical path of every round as bars, and as a list."""

from __future__ import annotations

from asyncagg.report.figures import KIND_COLOURS, KINDS
from asyncagg.report.markup import Markup, joined, table, tag
from asyncagg.report.story import Story
from asyncagg.report.words import seconds
from asyncagg.runs.result import RoundResult

_SHOWN = 12
"""Rounds that have a bar, the longest."""
_LISTED = 3
"""Rounds whose pieces are listed."""
_NAMED = 0.01
"""Of the longest round: pieces from here on are named where they are pointed at."""
_WIDTH = 860.0


def critical_paths(story: Story) -> Markup:
    """Nothing where no round has one."""
    known = sorted(
        (each for each in story.rounds if each.critical_path), key=lambda each: (-each.seconds["total"], each.round)
    )
    if not known:
        return Markup()
    found = sorted(known[:_SHOWN], key=lambda each: each.round)
    longest = known[0].seconds["total"]
    left = len(known) - len(found)
    return tag(
        "section",
        tag("h2", "What took the time"),
        tag(
            "p",
            "The chain of causes that ends with each round; its pieces add up to the round. Waiting for a deadline is"
            " time that the scenario's deadlines cost, not the protocol.",
        ),
        tag("p", *(_key(kind) for kind in KINDS), class_="legend"),
        *(_bar(each, longest) for each in found),
        tag("p", f"Of {left} more rounds, none of which took longer, result.json says the same.") if left else "",
        tag("details", tag("summary", "the longest as a list"), *(_list(each) for each in known[:_LISTED])),
        id="path",
    )


def _key(kind: str) -> Markup:
    swatch = tag("svg", tag("rect", width=12, height=12, fill=KIND_COLOURS[kind]), width=12, height=12, class_="key")
    return tag("span", swatch, KINDS[kind])


def _bar(each: RoundResult, longest: float) -> Markup:
    at, pieces = 0.0, []
    for piece in each.critical_path:
        part = piece.seconds / longest
        title = tag("title", f"{piece.phase}: {piece.what} ({piece.who}), {seconds(piece.seconds)}")
        pieces.append(
            tag(
                "rect",
                title if part >= _NAMED else "",
                x=f"{at:.1f}",
                y=2,
                width=f"{max(part * _WIDTH, 0.3):.1f}",
                height=16,
                fill=KIND_COLOURS[piece.kind],
            )
        )
        at += part * _WIDTH
    label = tag("text", f"round {each.round}", x=0, y=14)
    end = tag("text", seconds(each.seconds["total"]), x=f"{at + 6:.2f}", y=14)
    bar = tag("g", *pieces, end, transform="translate(76 0)")
    return tag("svg", label, bar, viewBox="0 0 1020 20", class_="bar", role="img", aria_label=f"round {each.round}")


def _list(each: RoundResult) -> Markup:
    rows: list[list[object]] = [
        [piece.phase, piece.what, piece.who, seconds(piece.seconds)] for piece in each.critical_path
    ]
    return joined(table(["phase", "what", "who", "time"], rows, f"round {each.round}"))
