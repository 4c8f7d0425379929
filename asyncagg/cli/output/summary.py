"""Summary of a run in a few plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from asyncagg.protocols.registry import find
from asyncagg.report.longest import sentence, slowest
from asyncagg.report.words import figures, number, seconds, size
from asyncagg.runs.result import RoundResult, RunResult

_SHOWN = 3
"""Of what may be many: failed rounds, warnings."""


def summary(result: RunResult, directory: Path) -> Iterator[str]:
    """The lines, the run directory last."""
    yield f"{result.name}: {result.words} (engine {result.engine}, protocol {result.protocol}, seed {result.seed})"
    done = [each for each in result.rounds if each.status == "ok"]
    yield from _rounds(result, done)
    if done and done[-1].metrics:
        yield f"model: {figures(done[-1].metrics)} after round {done[-1].round}"
    yield from _costs(result)
    longest = slowest(result.rounds)
    if longest is not None:
        of = "" if len(result.rounds) == 1 else "slowest, "
        yield f"{of}{sentence(longest)}"
    without = [each for each in result.rounds if each.status != "ok"]
    yield from _first("", [f"round {each.round} {each.status}: {each.reason}" for each in without])
    if result.unmet is not None:
        yield f"expectation not met: {result.unmet}"
    yield from _first("warning: ", [*_warnings(result.rounds), *result.ledger])
    if not find(result.protocol).protects:
        yield f"protection: none, {result.protocol} shows every input to the compute nodes"
    yield f"run directory: {directory}"


def _warnings(rounds: Sequence[RoundResult]) -> list[str]:
    """Each once, with the rounds that have it."""
    having: dict[str, list[int]] = {}
    for each in rounds:
        for text in each.warnings:
            having.setdefault(text, []).append(each.round)
    return [f"{_when(numbers)}: {text}" for text, numbers in having.items()]


def _when(rounds: Sequence[int]) -> str:
    return f"round {rounds[0]}" if len(rounds) == 1 else f"{len(rounds)} rounds, from round {rounds[0]} on"


def _first(what: str, texts: list[str]) -> Iterator[str]:
    """The first few of them, and how many more there are."""
    yield from (f"{what}{text}" for text in texts[:_SHOWN])
    if len(texts) > _SHOWN:
        yield f"{what}and {len(texts) - _SHOWN} more in result.json"


def _rounds(result: RunResult, done: list[RoundResult]) -> Iterator[str]:
    if not result.rounds:
        yield "rounds: none"
        return
    text = f"rounds: {len(done)} of {len(result.rounds)} with a mean"
    if done:
        counts = sorted({len(each.survivors) for each in done})
        few, many = counts[0], counts[-1]
        text += f", {few if few == many else f'{few} to {many}'} of {number(result.owners, 'owner')} in it"
        text += _checked(done)
    yield text


def _checked(done: list[RoundResult]) -> str:
    """Verdict of the check, where there was one: a mean is exact if it is that of the encoded inputs, bit for bit."""
    told = [each for each in done if each.exact is not None]
    if not told:
        return ""
    wrong = sum(not each.exact for each in told)
    if wrong:
        return f"; NOT EXACT in {number(wrong, 'round')}"
    clipped, off = sum(each.clipped or 0 for each in told), max(each.error_max or 0.0 for each in told)
    exact = f"exact as encoded, {off:.2g} from the unencoded at most" if off else "exact, encoded and unencoded"
    return f", every mean {exact}" + (f", {number(clipped, 'value')} clipped" if clipped else "")


def _costs(result: RunResult) -> Iterator[str]:
    sent = {role: 0 for each in result.rounds for role in each.traffic}
    for each in result.rounds:
        for role, traffic in each.traffic.items():
            sent[role] += traffic.sent
    if sent:
        yield "sent: " + ", ".join(f"{size(count)} by {role}s" for role, count in sent.items())
    virtual = "" if result.virtual_seconds is None else f"{seconds(result.virtual_seconds)} of virtual time, "
    yield f"time: {virtual}{seconds(result.wall_seconds)} on the clock, {seconds(result.cpu_seconds)} of computing"
