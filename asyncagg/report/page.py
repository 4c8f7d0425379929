"""The page of a run: one file that opens offline, fetches nothing, and is the same for the same run directory.

Every name and figure is text in it; the timeline alone is drawn by a script, made of our own modules one behind the
other. The browser is told to run nothing but that script: the content policy names its hash, and that of the style.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from asyncagg.report import flow
from asyncagg.report.columns import columns, packed
from asyncagg.report.costs import costs
from asyncagg.report.curves import curves
from asyncagg.report.figures import CLASS_COLOURS, COLOURS, KIND_COLOURS, OWNER_SHADES
from asyncagg.report.longest import slowest
from asyncagg.report.longest_chart import critical_paths
from asyncagg.report.markup import Markup, escaped, joined, tag
from asyncagg.report.seen import seen
from asyncagg.report.story import Story
from asyncagg.report.verdict import rounds, verdict

FILE = "report.html"
"""In the run directory."""
MODULES = ("data.mjs", "scene.mjs", "drawing.mjs", "timeline.mjs", "main.mjs")
"""In the order in which they stand in the script."""

_HOW_TO_READ = (
    "A lane a player, a line a message from when it left to when it arrived, a bar where somebody computes; × is a drop"
    " or a fault, the strip on top what the time went by with. Wheel or + and − zoom, dragging or arrow keys move, n"
    " and p go from message to message, the slider replays."
)
_LINKED = re.compile(r"^import .*$", re.MULTILINE)
_EXPORTED = re.compile(r"^export ", re.MULTILINE)


def page(story: Story) -> str:
    """The page as text."""
    script, style = _script(), _asset("style.css")
    body = (
        _navigation(),
        tag(
            "main",
            verdict(story),
            _timeline(story),
            flow.section(story),
            critical_paths(story),
            rounds(story),
            seen(story),
            costs(story),
            curves(story),
        ),
        tag("script", Markup(_data(story)), type="application/octet-stream", id="trace"),
        tag("script", Markup(script)),
    )
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script, style)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{story.said('name')}: {story.said('status')}"),
        tag("style", Markup(style)),
    )
    return f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return files("asyncagg.report").joinpath("web", name).read_text(encoding="utf-8")


def _script() -> str:
    """The modules in one: what they import of each other stands before them."""
    texts = (_EXPORTED.sub("", _LINKED.sub("", _asset(name))) for name in MODULES)
    return '"use strict";\n' + "\n".join(texts)


def _data(story: Story) -> str:
    longest = slowest(story.rounds)
    value = {
        **columns(story.records),
        "first": 0 if longest is None else longest.round,
        "rounds": [each.round for each in story.rounds],
        "path": {
            str(each.round): [[p.kind, round(p.seconds * 1e9), p.what, p.who] for p in each.critical_path]
            for each in story.rounds
        },
        "colours": {"roles": COLOURS, "owners": OWNER_SHADES, "classes": CLASS_COLOURS, "kinds": KIND_COLOURS},
    }
    return packed(value)


def _navigation() -> Markup:
    names = {
        "verdict": "verdict",
        "timeline": "timeline",
        "flow": "data flow",
        "path": "time",
        "rounds": "rounds",
        "seen": "who saw what",
        "costs": "costs",
        "curves": "learning",
    }
    return tag("nav", *(tag("a", text, href=f"#{name}") for name, text in names.items()))


def _timeline(story: Story) -> Markup:
    if not story.records:
        return tag("section", tag("h2", "Timeline"), tag("p", "The trace of this run was not kept."), id="timeline")
    players = [_key(colour, name.replace("-", " ")) for name, colour in COLOURS.items()]
    present = {record.exposure: None for record in story.records if record.event == "message"}
    classes = [_key(colour, name) for name, colour in CLASS_COLOURS.items() if name in present]
    controls = (
        tag("label", "round ", tag("select", id="round")),
        tag("label", "find ", tag("input", id="find", type="search", placeholder="a kind or a player")),
        tag("label", "replay ", tag("input", id="replay", type="range", min=0, max=1000, value=1000)),
        tag("label", tag("input", id="squeeze", type="checkbox"), " squeeze idle time"),
        tag("button", "−", id="out", title="zoom out (key -)"),
        tag("button", "+", id="in", title="zoom in (key +)"),
        tag("button", "whole", id="whole", title="the whole round (key 0)"),
    )
    return tag(
        "section",
        tag("h2", "Timeline"),
        tag(
            "p",
            _HOW_TO_READ,
        ),
        tag("p", *controls, class_="controls"),
        tag(
            "canvas",
            "The same is in the tables below.",
            id="lanes",
            tabindex=0,
            role="img",
            aria_label="timeline of the round",
        ),
        tag("p", "Point at a line, a bar or a lane.", id="about", role="status"),
        tag("p", "players: ", *players, class_="legend"),
        tag("p", "messages, by what their receiver can read: ", *classes, class_="legend"),
        tag("noscript", escaped("The timeline needs JavaScript; everything else on this page does not.")),
        id="timeline",
    )


def _key(colour: str, text: str) -> Markup:
    swatch = tag("svg", tag("rect", width=12, height=12, fill=colour), width=12, height=12, class_="key")
    return joined(tag("span", swatch, text))
