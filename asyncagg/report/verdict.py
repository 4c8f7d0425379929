"""Verdict on a run, in words: what was run, how it ended, what was expected, how to have it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from asyncagg.report.longest import sentence, slowest
from asyncagg.report.markup import Markup, joined, table, tag
from asyncagg.report.story import Story
from asyncagg.report.words import many, seconds
from asyncagg.runs.expectations import judge
from asyncagg.runs.result import RoundResult, RunResult

_SHOWN = 50
"""Rounds and names that a table lists; the rest is counted."""


def verdict(story: Story) -> Markup:
    """The head of the page."""
    ok = story.said("status") == "ok"
    mark = tag("p", tag("strong", "✓ right: " if ok else "✗ failed: "), _how(story), class_="good" if ok else "bad")
    return tag(
        "section",
        tag("h1", story.said("name")),
        mark,
        tag("p", _what(story)),
        *(tag("p", "What took the time: ", sentence(longest)) for longest in [slowest(story.rounds)] if longest),
        _expectations(story),
        tag("dl", *(joined(tag("dt", name), tag("dd", tag("code", text))) for name, text in _again(story))),
        _warnings(story),
        id="verdict",
    )


def _how(story: Story) -> str:
    if story.said("reason"):
        return story.said("reason")
    done = [each for each in story.rounds if each.status == "ok"]
    exact = [each for each in done if each.exact is not None]
    if not exact:
        return f"{len(done)} of {many(len(story.rounds), 'round')} with a mean; nobody compared it with the inputs"
    wrong = sum(not each.exact for each in exact)
    if wrong:
        return f"but {wrong} of {many(len(exact), 'mean')} is NOT that of the survivors' encoded inputs"
    each = "the mean is" if len(exact) == 1 else "each mean is"
    return f"{len(done)} of {many(len(story.rounds), 'round')}; {each} exactly that of its survivors' encoded inputs"


def _what(story: Story) -> str:
    owners, nodes = story.result.get("owners"), story.result.get("compute_nodes")
    threat = story.scenario("aggregation", "threat")
    lead = f", lead assumed to be {threat}" if isinstance(threat, str) else ""
    virtual = "virtual time, insecure secrets: a simulation" if story.said("engine") == "sim" else "real time"
    return (
        f"{owners} data owners, {nodes} compute nodes and a model owner; vectors of {story.said('dimension')} values;"
        f" protocol {story.said('protocol')}{lead}; engine {story.said('engine')} ({virtual});"
        f" seed {story.said('seed')}."
    )


def _again(story: Story) -> Iterator[tuple[str, str]]:
    folder = shlex.quote(story.folder)
    yield "run it again and compare", f"asyncagg verify {folder}"
    yield "play it again", f"asyncagg run {shlex.quote(f'{story.folder}/scenario.toml')} --seed {story.said('seed')}"
    yield "digest of the trace", story.said("trace_digest") or "none: the trace was not kept"
    yield "made by", f"asyncagg {story.said('version')}, format {story.said('format')}, begun {story.said('started')}"


def _expectations(story: Story) -> Markup:
    """Each key of [expect], and whether it holds."""
    expect = story.scenario("expect")
    if not isinstance(expect, dict) or not expect:
        return Markup()
    told = story.result.get("expect")
    known = dict.fromkeys(("completed", "survivors_at_least", "exact", "accuracy_at_least"))
    rows: list[list[object]] = []
    for key, value in expect.items():
        if key not in known:
            rows.append([f"expect.{key} = {value}", "unknown to this version"])
            continue
        if isinstance(told, dict) and key in told and told[key] is None:
            rows.append([f"expect.{key} = {json.dumps(value)}", "unknown: on many hosts nobody sees the inputs"])
            continue
        missed = judge(_as_result(story), {key: value}).get(key)
        rows.append([f"expect.{key} = {json.dumps(value)}", "✓ holds" if missed is None else f"✗ {missed}"])
    return table(["what was expected", "and came to"], rows)


def _as_result(story: Story) -> RunResult:
    """The result, as far as expectations judge it; a run that failed by them alone had no other reason."""
    reason = story.result.get("reason")
    own = isinstance(reason, str) and reason.startswith("expect.")
    text = None if reason is None or own else str(reason)
    return RunResult(story.said("name"), 0, "", "", 0, 0, reason=text, rounds=story.rounds)


def _warnings(story: Story) -> Markup:
    texts = [f"round {each.round}: {text}" for each in story.rounds for text in each.warnings]
    if not texts:
        return Markup()
    more = [f"and {len(texts) - _SHOWN} more in result.json"] if len(texts) > _SHOWN else []
    return tag(
        "details", tag("summary", many(len(texts), "warning")), *(tag("p", text) for text in texts[:_SHOWN] + more)
    )


def rounds(story: Story) -> Markup:
    """A line a round: who is in it, who left and why, how long it took, and what with."""
    rows = [_row(each) for each in story.rounds[:_SHOWN]]
    more = len(story.rounds) - _SHOWN
    head: list[object] = [
        "round",
        "ended",
        "attempts",
        "in the sum",
        "not in the sum",
        "silent later",
        "exact",
        "time",
        "most of it",
    ]
    return tag(
        "section",
        tag("h2", "Rounds"),
        table(head, rows),
        tag("p", f"{more} more rounds are in result.json.") if more > 0 else "",
        id="rounds",
    )


def _row(each: RoundResult) -> list[object]:
    exact = "not compared" if each.exact is None else "yes" if each.exact else "NO"
    most = sentence(each).partition(": ")[2] if each.critical_path else ""
    return [
        each.round,
        each.status if each.reason is None else f"{each.status}: {each.reason}",
        each.attempts,
        len(each.survivors),
        _gone({**each.dropped, **dict.fromkeys(each.with_their_batch, "with its batch")}, each.reasons),
        _gone(each.silent_after, {}),
        exact,
        seconds(each.seconds.get("total", 0.0)),
        most,
    ]


def _gone(gone: dict[str, str], reasons: dict[str, str]) -> object:
    """Number of those that are gone, and their names when asked."""
    if not gone:
        return "none"
    names = list(gone.items())
    shown = [tag("li", f"{owner}: {phase}", _why(reasons.get(owner))) for owner, phase in names[:_SHOWN]]
    more = [tag("li", f"and {len(names) - _SHOWN} more")] if len(names) > _SHOWN else []
    return tag("details", tag("summary", many(len(names), "owner")), tag("ul", *shown, *more))


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
