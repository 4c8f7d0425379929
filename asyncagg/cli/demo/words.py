"""Descriptions, in a few words, of what a process does and sees in each phase, and of what it knows after a round."""

from __future__ import annotations

from asyncagg.cli.demo.board import Board, Process
from asyncagg.protocols.names import LEAD, MODEL_OWNER, index_of
from asyncagg.report.words import number, seconds, size
from asyncagg.runs.result import RoundResult

_OWNER = {
    "publish": "computes its gradient on data of its own",
    "advertise": "sends fresh public keys",
    "share": "sends shares of its secrets, sealed",
    "upload": "sends its gradient, masked",
    "unmask": "opens a share of each other owner's secret",
    "reveal": "done; has seen no gradient but its own",
}
_LEAD = {
    "publish": "waits for the owners",
    "advertise": "passes public keys on",
    "share": "passes shares on that it cannot open",
    "upload": "adds masked vectors that it cannot read",
    "unmask": "takes the masks off the sum",
    "reveal": "sends its slice of the sum",
}
_NODE = _LEAD | {
    "advertise": "waits for masked vectors",
    "share": "waits for masked vectors",
    "publish": "waits for masked vectors",
}
_MODEL_OWNER = dict.fromkeys(_OWNER, "waits for the sum") | {
    "publish": "sends the model's parameters",
    "reveal": "receives the sum, no single gradient",
}


def doing(process: Process, board: Board) -> str:
    """Description of what a process does now."""
    if not process.there:
        return f"lost ({process.loss})" if process.loss else ""
    if board.last is not None:
        return _knows(process, board.last)
    phase = board.current
    if phase is None:
        return ""
    match process.role:
        case "data-owner":
            return _owners(process, board, phase)
        case "compute-node":
            return (_LEAD if process.players[0] == LEAD else _NODE)[phase]
    return _MODEL_OWNER[phase]


def _owners(process: Process, board: Board, phase: str) -> str:
    silent, here = board.silent(process.players), len(process.players)
    if not silent:
        return _OWNER[phase]
    return "silent, as asked" if here == 1 else f"{silent} of {here} silent, as asked; {_OWNER[phase]}"


def _knows(process: Process, last: RoundResult) -> str:
    """Knowledge of a process between rounds: who was in the sum, and who knows it."""
    if process.role == "data-owner":
        return _part(process, last)
    if last.status != "ok":
        return "has learnt nothing"
    who = f"{len(last.survivors)} owners"
    if process.players[0] == MODEL_OWNER:
        return f"knows the mean of {who}, no single gradient"
    return f"knows its slice of the sum of {who}, no more"


def _part(process: Process, last: RoundResult) -> str:
    counted = [player for player in process.players if player in last.survivors]
    if len(process.players) > 1:
        return f"{len(counted)} of {len(process.players)} in the sum"
    (player,) = process.players
    if not counted:
        return _left_out(player, last) if player in last.dropped else "no sum"
    return "in the sum" + (f", though silent in {last.silent_after[player]}" if player in last.silent_after else "")


def _left_out(player: str, last: RoundResult) -> str:
    reason = last.reasons.get(player, "silent")
    return f"left out, silent from {last.dropped[player]} on" if reason.startswith("silent") else f"left out: {reason}"


def remarks(each: RoundResult) -> str:
    """Remarks on anything out of the ordinary in a round."""
    parts = [f"left out: {_some(list(each.dropped))}"] if each.dropped else []
    parts += [f"silent in {phase}: {_some(names)}" for phase, names in _by_phase(each.silent_after).items()]
    parts += [f"{each.attempts} attempts"] if each.attempts > 1 else []
    parts += ["NOT EXACT"] if each.exact is False else []
    parts += [each.reason] if each.reason else []
    return "; ".join(parts)


def _by_phase(silent: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for player, phase in silent.items():
        found.setdefault(phase, []).append(player)
    return found


def _some(players: list[str]) -> str:
    first = f"owner {index_of(players[0])}"
    return first if len(players) == 1 else f"{first} and {number(len(players) - 1, 'other')}"


def cells(each: RoundResult, in_round: int) -> tuple[str, ...]:
    """A round in a table: number, owners in the sum, loss, accuracy, bytes of all players, time, remarks."""
    counted = f"{len(each.survivors)} of {in_round}" if each.status == "ok" else each.status
    measured = (f"{each.metrics[name]:.4f}" if name in each.metrics else "" for name in ("loss", "accuracy"))
    sent = size(sum(traffic.sent for traffic in each.traffic.values()))
    return (str(each.round), counted, *measured, sent, seconds(each.seconds["total"]), remarks(each))
