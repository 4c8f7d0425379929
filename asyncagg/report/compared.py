"""Several runs side by side: keys of their scenarios that differ first, then figures, then where their traces part."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import zip_longest
from typing import Any

from asyncagg.net.durations import SECOND_NS
from asyncagg.report.story import Story
from asyncagg.report.words import figures, seconds, size
from asyncagg.runs.trace import Record
from asyncagg.scenario.errors import quoted

ABSENT = "—"
_LONGEST = 60
"""Letters of a value that are shown."""


def compared(stories: Sequence[Story]) -> Iterator[str]:
    """Lines of a table with a column a run, and a sentence about each run's trace beside the first one's."""
    heads = ["", *(story.folder for story in stories)]
    rows = [*_keys(stories), *([what, *map(of, stories)] for what, of in _FIGURES)]
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for other in stories[1:]:
        yield f"{stories[0].folder}, {other.folder}: {_parting(stories[0], other)}"


def _keys(stories: Sequence[Story]) -> Iterator[list[str]]:
    """A row for each key of the scenarios that has not the same value in all of them."""
    flat = [dict(_flattened(story.result.get("scenario") or {})) for story in stories]
    for key in sorted({key for each in flat for key in each}):
        values = [each.get(key, ABSENT) for each in flat]
        if len(set(values)) > 1:
            yield [key, *values]


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flattened(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, str(value)


def _rounds(story: Story) -> str:
    good = sum(each.status == "ok" for each in story.rounds)
    return f"{good} of {len(story.rounds)}"


def _survivors(story: Story) -> str:
    counts = [len(each.survivors) for each in story.rounds if each.status == "ok"]
    return f"{statistics.median(counts):g}" if counts else ABSENT


def _took(story: Story) -> str:
    taken = [each.seconds["total"] for each in story.rounds if "total" in each.seconds]
    return seconds(statistics.median(taken)) if taken else ABSENT


def _sent(role: str) -> Callable[[Story], str]:
    """Bytes that players of a role sent in all rounds."""

    def of(story: Story) -> str:
        return size(sum(each.traffic[role].sent for each in story.rounds if role in each.traffic))

    return of


def _model(story: Story) -> str:
    said = [each.metrics for each in story.rounds if each.metrics]
    return figures(said[-1]) if said else ABSENT


_FIGURES: tuple[tuple[str, Callable[[Story], str]], ...] = (
    ("status", lambda story: story.said("status")),
    ("rounds with a mean", _rounds),
    ("survivors of a round (median)", _survivors),
    ("time of a round (median)", _took),
    ("sent by the model owner", _sent("model-owner")),
    ("sent by compute nodes", _sent("compute-node")),
    ("sent by data owners", _sent("data-owner")),
    ("model at the end", _model),
)


def _parting(one: Story, other: Story) -> str:
    """The first record in which two traces differ."""
    if not one.records or not other.records:
        return "no traces to compare"
    if one.said("trace_digest") and one.said("trace_digest") == other.said("trace_digest"):
        return "the same trace"
    for number, (ours, theirs) in enumerate(zip_longest(one.records, other.records)):
        if ours != theirs:
            return f"the traces part at record {number}: {_difference(ours, theirs)}"
    return "the same records"


def _difference(ours: Record | None, theirs: Record | None) -> str:
    """Two records that are not the same, by their first field that differs."""
    if ours is None or theirs is None:
        return "one of them ends there"
    name = next(each.name for each in fields(ours) if getattr(ours, each.name) != getattr(theirs, each.name))
    values = (str(getattr(each, name))[:_LONGEST] for each in (ours, theirs))
    return f"{_told(ours)}: {name} {' or '.join(map(quoted, values))}"


def _told(record: Record) -> str:
    """A record in few words."""
    who = f"{record.sender} → {record.receiver}" if record.receiver else record.sender
    return f"{record.kind or record.event} of {who} in round {record.round} after {seconds(record.t / SECOND_NS)}"
