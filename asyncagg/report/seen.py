"""Table of who saw what: the bytes each player received, by what it could read in them, and who together sees more."""

from __future__ import annotations

from collections.abc import Iterable

from asyncagg.protocols.names import role_of
from asyncagg.report.figures import CLASSES, ROLES
from asyncagg.report.markup import Markup, joined, table, tag
from asyncagg.report.story import Story
from asyncagg.report.words import many, size

_SHOWN = 12
"""Players of a role that have a line each; more of them share one."""


def seen(story: Story) -> Markup:
    """The table, the coalitions, and what the sums disclose together."""
    privacy = story.result.get("privacy")
    said = privacy if isinstance(privacy, dict) else {}
    return tag(
        "section",
        tag("h2", "Who saw what"),
        _table(story) if story.records else tag("p", "The trace was not kept: nobody can tell from it."),
        _sentences("Who can open an input", said.get("opens_an_input")),
        _sentences("What the rounds disclose together", said.get("ledger")),
        id="seen",
    )


def _table(story: Story) -> Markup:
    counted: dict[str, dict[str, tuple[int, int]]] = {}
    for record in story.records:
        if record.event == "message" and record.arrived is not None:
            of = counted.setdefault(record.receiver, {})
            messages, total = of.get(record.exposure, (0, 0))
            of[record.exposure] = messages + 1, total + record.bytes
    present = [kind for kind in CLASSES if any(kind in of for of in counted.values())]
    head: list[object] = ["received by (bytes in messages)", *(joined(kind) for kind in present)]
    rows = [[name, *(_cell(of.get(kind)) for kind in present)] for name, of in _grouped(counted)]
    legend = tag("dl", *(joined(tag("dt", kind), tag("dd", CLASSES[kind])) for kind in present))
    return joined(table(head, rows), legend)


def _grouped(counted: dict[str, dict[str, tuple[int, int]]]) -> Iterable[tuple[str, dict[str, tuple[int, int]]]]:
    """Players in order of role and index; those of a large role together, the average of them."""
    for role in ROLES:
        names = sorted((name for name in counted if role_of(name) == role), key=_index)
        if len(names) <= _SHOWN:
            yield from ((name, counted[name]) for name in names)
            continue
        kinds = {kind: None for name in names for kind in counted[name]}
        mean = {
            kind: tuple(round(sum(counted[name].get(kind, (0, 0))[at] for name in names) / len(names)) for at in (0, 1))
            for kind in kinds
        }
        yield f"{many(len(names), ROLES[role])}, each on average", {kind: (of[0], of[1]) for kind, of in mean.items()}


def _index(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isascii() and tail.isdigit() else 0


def _cell(of: tuple[int, int] | None) -> object:
    return "–" if of is None else f"{size(of[1])} in {of[0]:,}"


def _sentences(title: str, texts: object) -> Markup:
    told = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
    return joined(tag("h3", title), tag("ul", *(tag("li", text) for text in told))) if told else Markup()
