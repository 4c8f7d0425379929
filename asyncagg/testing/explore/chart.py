"""A run as a sequence chart, a line for each message that was delivered; what went wrong stands out.

Messages of one kind that follow each other to, or from, the same role are one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncagg.protocols.names import LEAD
from asyncagg.testing.explore.world import ExploredStep

_WIDTH = 14


def chart(choices: Iterable[ExploredStep]) -> Iterator[str]:
    """Lines of the chart."""
    pending: list[ExploredStep] = []
    for choice in choices:
        if pending and not _goes_with(pending, choice):
            yield _arrow(pending)
            pending = []
        match choice.what:
            case "deliver":
                pending.append(choice)
            case "expire":
                yield f"  {_short('lead'):>{_WIDTH}}     {_of(choice)}"
        if choice.then:
            if pending:
                yield _arrow(pending)
                pending = []
            yield f"! {choice.then}"
    if pending:
        yield _arrow(pending)


def _goes_with(pending: list[ExploredStep], choice: ExploredStep) -> bool:
    last = pending[-1]
    if (choice.what, choice.kind) != (last.what, last.kind):
        return False
    one_sender = all(each.sender == choice.sender for each in pending)
    one_receiver = all(each.receiver == choice.receiver for each in pending)
    return one_sender or one_receiver


def _arrow(choices: list[ExploredStep]) -> str:
    senders = ", ".join(dict.fromkeys(_short(each.sender) for each in choices))
    receivers = ", ".join(dict.fromkeys(_short(each.receiver) for each in choices))
    return f"  {senders:>{_WIDTH}} ──▶ {receivers:<{_WIDTH}} {choices[0].kind}"


def _of(choice: ExploredStep) -> str:
    what = "its deadline" if not choice.sender else f"the permit of {choice.sender}"
    return f"{what} passes in {choice.kind}"


def _short(name: str) -> str:
    """Owners as `o1`, compute nodes as `n1`, the one with the lead as `lead`."""
    if name == LEAD:
        return "lead"
    return name.replace("data-owner-", "o").replace("compute-node-", "n")
