"""The data-flow graph coloured by player: parameters, private inputs, secure aggregation, mean, update.

Drawn from what was said in one round: an edge stands for all messages of a phase between two places and says how many,
how many bytes, and what their receivers could read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncagg.protocols.names import role_of
from asyncagg.protocols.registry import ProtocolError, find
from asyncagg.report.figures import CLASS_COLOURS, COLOURS, colour_of
from asyncagg.report.markup import Markup, joined, table, tag
from asyncagg.report.story import Story
from asyncagg.report.words import many, seconds, size
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Record

_SHOWN = 7
"""Players of a role that have a box each; the last of more stands for the rest."""
_TOP, _ROW, _BOX, _HIGH = 84, 50, 168, 36
_COLUMNS = (10, 290, 600, 890)
_WIDTH = 1070

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:currentColor}svg{color:#222;background:#fff}"
    ".small{font-size:11px}.on{fill:#fff;font-weight:600}.lost{opacity:.45}"
)
"""Of the graph as a file; on the page its own holds."""


@dataclass(frozen=True, slots=True)
class _FlowBox:
    """A box: one player, or the rest of a role."""

    title: str
    below: str
    role: str
    players: tuple[str, ...]
    lost: bool = False


_FlowBoxes = dict[_FlowBox, tuple[int, float]]
"""Boxes, and where they stand: x, and the row, from 0."""


def shown_round(story: Story) -> RoundResult | None:
    """The first that has a mean, else the first."""
    return next((each for each in story.rounds if each.status == "ok"), story.rounds[0] if story.rounds else None)


def graph(story: Story) -> Markup:
    """The SVG; empty for a run without rounds or messages."""
    each = shown_round(story)
    said = [] if each is None else [record for record in story.records if _said_in(record, each.round)]
    if each is None or not said:
        return Markup()
    owners = _places(story, "data-owner", _names(said, "data-owner"), each)
    nodes = _places(story, "compute-node", _names(said, "compute-node"), each)
    rows = max(len(owners), len(nodes), 2)
    middle = (rows - 1) / 2
    start = _FlowBox("model owner", "parameters", "model-owner", ("model-owner",))
    mean = _FlowBox("mean of the survivors", f"{len(each.survivors)} in the sum", "model-owner", ("model-owner",))
    update = _FlowBox("update", "next parameters", "model-owner", ("model-owner",))
    left: _FlowBoxes = {place: (_COLUMNS[1], _offset(at, len(owners), rows)) for at, place in enumerate(owners)}
    right: _FlowBoxes = {place: (_COLUMNS[2], _offset(at, len(nodes), rows)) for at, place in enumerate(nodes)}
    first: _FlowBoxes = {start: (_COLUMNS[0], middle)}
    last: _FlowBoxes = {mean: (_COLUMNS[3], middle - 0.6)}
    after: _FlowBoxes = {update: (_COLUMNS[3], middle + 0.9)}
    drawn = [
        *_edges(_published(said), first, left),
        *_edges(_uploaded(said), left, right),
        *_edges(_revealed(said), right, last),
        _down(last[mean], after[update]),
        *_heads(story, said),
        *(_box(place, at) for place, at in {**first, **last, **after, **left, **right}.items()),
    ]
    height = _TOP + rows * _ROW + 12
    return tag(
        "svg",
        tag("title", f"data flow of round {each.round}"),
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height:.0f}",
        role="img",
        class_="flow",
    )


def graph_file(story: Story) -> str:
    """The graph as a file of its own; empty where there is none."""
    drawn = graph(story)
    head, mark, tail = drawn.partition(">")
    return f"{head}{mark}<style>{STYLE}</style>{tail}\n" if drawn else ""


def section(story: Story) -> Markup:
    """The graph on the page, what happens inside an owner and a node, and the figures as a table."""
    drawn, each = graph(story), shown_round(story)
    if each is None or not drawn:
        return Markup()
    said = [record for record in story.records if _said_in(record, each.round)]
    return tag(
        "section",
        tag("h2", f"Where the data went, in round {each.round}"),
        tag("p", "Boxes are coloured by player; an edge names itself when pointed at. Faded boxes are not in the sum."),
        tag("div", drawn, class_="wide"),
        _inside(story, each, "data-owner", "Inside one data owner", ("gradient", "encode", "masks", "pack")),
        _inside(story, each, "compute-node", "Inside one compute node", ("check", "add", "unmask", "pack")),
        tag("details", tag("summary", "all kinds of messages"), _kinds(said)),
        id="flow",
    )


def _said_in(record: Record, index: int) -> bool:
    return record.event == "message" and record.round == index


def _published(said: Sequence[Record]) -> list[Record]:
    return [record for record in said if record.kind == "publish"]


def _uploaded(said: Sequence[Record]) -> list[Record]:
    """Messages with parts of owners' vectors to the nodes: in any protocol, those that are not public."""
    return [
        record
        for record in said
        if record.phase == "upload"
        and (role_of(record.sender), role_of(record.receiver)) == ("data-owner", "compute-node")
        and record.exposure != "public"
    ]


def _revealed(said: Sequence[Record]) -> list[Record]:
    return [record for record in said if record.receiver == "model-owner" and record.phase == "reveal"]


def _names(said: Sequence[Record], role: str) -> list[str]:
    names = {name: None for record in said for name in (record.sender, record.receiver) if role_of(name) == role}
    return sorted(names, key=lambda name: (len(name), name))


def _places(story: Story, role: str, names: Sequence[str], each: RoundResult) -> list[_FlowBox]:
    kept = names if len(names) <= _SHOWN else names[: _SHOWN - 1]
    rest = tuple(names[len(kept) :])
    lead = {"compute-node-0": "node 0, the lead"}
    places = [_FlowBox(name, _state(name, role, each, lead), role, (name,), _is_out(name, each)) for name in kept]
    if rest:
        gone = sum(_is_out(name, each) for name in rest)
        below = f"{gone} of them not in the sum" if role == "data-owner" else "each adds what it holds"
        places.append(_FlowBox(many(len(rest), f"more {role.replace('-', ' ')}"), below, role, rest))
    return places


def _state(name: str, role: str, each: RoundResult, lead: dict[str, str]) -> str:
    if role == "compute-node":
        return lead.get(name, "adds what it holds")
    if name in each.dropped:
        return f"dropped in {each.dropped[name]}"
    return "left out with its batch" if _is_out(name, each) else "private input"


def _is_out(name: str, each: RoundResult) -> bool:
    """True for an owner that is not in the sum: it dropped, or another of its batch did."""
    return name in each.dropped or name in each.with_their_batch


def _offset(at: int, count: int, rows: int) -> float:
    return at + (rows - count) / 2


def _edges(said: Sequence[Record], sources: _FlowBoxes, targets: _FlowBoxes) -> list[Markup]:
    """A line for each pair of places between which any of these went."""
    of = {player: place for place in sources for player in place.players}
    to = {player: place for place in targets for player in place.players}
    where = {**sources, **targets}
    sums: dict[tuple[_FlowBox, _FlowBox], list[Record]] = {}
    for record in said:
        if record.sender in of and record.receiver in to:
            sums.setdefault((of[record.sender], to[record.receiver]), []).append(record)
    return [_line(where[source], where[target], records) for (source, target), records in sums.items()]


def _down(source: tuple[int, float], target: tuple[int, float]) -> Markup:
    """From one box to the one below it."""
    at = source[0] + _BOX / 2
    way = f"M{at} {_y(source[1]) + _HIGH}V{_y(target[1])}"
    return tag("path", d=way, stroke=COLOURS["model-owner"], fill="none", stroke_width=2)


def _line(source: tuple[int, float], target: tuple[int, float], records: Sequence[Record]) -> Markup:
    (x, row), (to_x, to_row) = source, target
    begin, end = (x + _BOX, _y(row) + _HIGH / 2), (to_x, _y(to_row) + _HIGH / 2)
    bend = (begin[0] + end[0]) / 2
    way = f"M{begin[0]} {begin[1]:.1f}C{bend} {begin[1]:.1f} {bend} {end[1]:.1f} {end[0]} {end[1]:.1f}"
    shown = max(records, key=lambda record: record.bytes)
    total = sum(record.bytes for record in records)
    title = f"{shown.kind}: {many(len(records), 'message')}, {size(total)}, {shown.exposure}"
    lost = all(record.arrived is None for record in records) and any(record.arrived is not None for record in records)
    return tag(
        "path",
        tag("title", title),
        d=way,
        fill="none",
        stroke=CLASS_COLOURS.get(shown.exposure, "#777777"),
        stroke_width=1.6,
        stroke_dasharray="4 3" if lost else None,
    )


def _y(row: float) -> float:
    return _TOP + row * _ROW


def _box(place: _FlowBox, at: tuple[int, float]) -> Markup:
    x, row = at
    y = _y(row)
    return tag(
        "g",
        tag("rect", x=x, y=f"{y:.1f}", width=_BOX, height=_HIGH, rx=5, fill=colour_of(place.players[0])),
        tag("text", place.title, x=x + 8, y=f"{y + 15:.1f}", class_="on"),
        tag("text", place.below, x=x + 8, y=f"{y + 29:.1f}", class_="on small"),
        class_="lost" if place.lost else None,
    )


def _heads(story: Story, said: Sequence[Record]) -> list[Markup]:
    """Headings of what goes between two columns."""
    nodes = max(len(_names(said, "compute-node")), 1)
    dimension = story.result.get("dimension")
    count = dimension if isinstance(dimension, int) else 0
    slices = f"shares of {count:,} values" if _holds_shares(story) else f"slices of {-(-count // nodes):,} values"
    parts: tuple[tuple[int, str, list[Record], str], ...] = (
        (_COLUMNS[0], "1  publish", _published(said), f"{count:,} values"),
        (_COLUMNS[1], "2  upload", _uploaded(said), slices),
        (_COLUMNS[2], "3  reveal", _revealed(said), f"sums of {slices}"),
        (_COLUMNS[3], "4  mean and update", [], f"{count:,} values"),
    )
    texts = []
    for x, title, records, shape in parts:
        texts += [tag("text", title, x=x, y=18, font_weight=600), tag("text", shape, x=x, y=36, class_="small")]
        if records:
            shown = max(records, key=lambda record: record.bytes)
            texts.append(tag("text", f"{shown.kind}: {many(len(records), 'message')}", x=x, y=52, class_="small"))
            below = f"{size(sum(record.bytes for record in records))}, {shown.exposure}"
            texts.append(tag("text", below, x=x, y=68, class_="small"))
    return texts


def _holds_shares(story: Story) -> bool:
    """True if every node holds a share of the whole vector; not known of a protocol that is not installed here."""
    try:
        return find(story.said("protocol")).shares
    except ProtocolError:
        return False


def _inside(story: Story, each: RoundResult, role: str, title: str, steps: Sequence[str]) -> Markup:
    """The steps of one player of a role that the trace has spans of, with their time."""
    spans = [record for record in story.records if record.event == "span" and record.round == each.round]
    player = next(
        (record.sender for record in spans if role_of(record.sender) == role and record.sender not in each.dropped),
        None,
    )
    if player is None:
        return Markup()
    mine = [record for record in spans if record.sender == player]
    kinds = list({record.kind: None for record in mine})
    ordered = [*(kind for kind in kinds if kind in steps), *(kind for kind in kinds if kind not in steps)]
    rows: list[list[object]] = []
    for kind in sorted(ordered, key=lambda kind: min(record.t for record in mine if record.kind == kind)):
        found = [record for record in mine if record.kind == kind]
        spent = sum((record.until or record.t) - record.t for record in found) / 1e9
        rows.append([kind, found[0].phase, len(found), seconds(spent) if spent else "no time in the cost model"])
    chain = tag("p", " → ".join(row[0] for row in rows if isinstance(row[0], str)), class_="chain")
    return tag(
        "details", tag("summary", f"{title}: {player}"), chain, table(["step", "phase", "times", "computing"], rows)
    )


def _kinds(said: Sequence[Record]) -> Markup:
    groups: dict[tuple[str, str, str, str, str], list[Record]] = {}
    for record in said:
        key = record.phase, record.kind, role_of(record.sender), role_of(record.receiver), record.exposure
        groups.setdefault(key, []).append(record)
    rows: list[list[object]] = [
        [kind, phase, f"{sender} → {receiver}", exposure, len(found), size(sum(record.bytes for record in found))]
        for (phase, kind, sender, receiver, exposure), found in groups.items()
    ]
    return joined(table(["kind", "phase", "from → to", "class", "messages", "bytes"], rows))
