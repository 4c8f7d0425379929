"""Sentence on what took most of the time of a round, from its critical path."""

from __future__ import annotations

from collections.abc import Sequence

from asyncagg.runs.result import PathPiece, RoundResult


def slowest(rounds: Sequence[RoundResult]) -> RoundResult | None:
    """The round that lasted longest, the first of several; None where no round has a critical path."""
    return max((each for each in rounds if each.critical_path), key=_total, default=None)


def sentence(each: RoundResult) -> str:
    """As `round 3: 5 of 5.9 s waiting for the upload deadline, 6 owners late`; for a round with a critical path."""
    groups: dict[str, list[PathPiece]] = {}
    for piece in each.critical_path:
        groups.setdefault(_what(piece), []).append(piece)
    what, pieces = max(groups.items(), key=lambda item: _seconds(item[1]))
    most = f"{_seconds(pieces):.3g} of {_total(each):.3g} s {what}"
    return f"round {each.round}: {most}{_detail(each, pieces)}"


def _what(piece: PathPiece) -> str:
    """Pieces of the same name count together."""
    match piece.kind:
        case "line":
            return "with messages on their way"
        case "computing":
            return f"{piece.what} at {piece.who}"
        case "deadline" | "waiting":
            return piece.what


def _detail(each: RoundResult, pieces: Sequence[PathPiece]) -> str:
    first = pieces[0]
    if first.kind == "deadline":
        gone = [*each.dropped.values(), *each.silent_after.values()].count(first.phase)
        return f", {gone} owner{'' if gone == 1 else 's'} late" if gone else ""
    if first.kind == "line" and len(pieces) > 1:
        longest = max(pieces, key=lambda piece: piece.seconds)
        return f", {len(pieces)} one after the other, at most {longest.seconds:.3g} s ({longest.who})"
    players = list({piece.who: None for piece in pieces})
    if first.kind == "waiting":
        return f" ({players[0]})" if len(players) == 1 else f" (at {len(players)} players)"
    return ""


def _seconds(pieces: Sequence[PathPiece]) -> float:
    return sum(piece.seconds for piece in pieces)


def _total(each: RoundResult) -> float:
    return each.seconds["total"]
