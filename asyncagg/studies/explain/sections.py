"""The account in sentences and sums: what owners send, what nodes add and take off, who holds and could see what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asyncagg.protocols.names import Player, role_of
from asyncagg.studies.explain.account import Account, Sum

NOTE = "All players are in one process here, which knows every secret: nobody can show this of a real run."
_READABLE = {
    "public": "can be read by anybody",
    "sealed": "is sealed to somebody else",
    "masked": "is hidden by masks",
    "share": "is a share, worth nothing alone",
    "sum": "is a sum over the survivors",
    "clear": "is an owner's vector as it is",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and lines of text under it."""

    title: str
    lines: tuple[str, ...]


def sections(account: Account, coalition: tuple[Player, ...]) -> Iterator[Section]:
    """Everything there is to say of a played round, in the order in which it happened."""
    yield Section("What is played", tuple(_setting(account)))
    yield Section("What each owner sends: its encoded value and its masks", tuple(_sums(account, account.uploads())))
    yield Section("Who holds what after each phase", tuple(_holdings(account)))
    if account.played.lost is not None:
        yield Section("What the dropped owner leaves behind", tuple(_left_behind(account)))
    sums = tuple(_sums(account, account.node_sums()))
    yield Section("What the compute nodes add, and take off", sums or ("nothing: the round has no sum",))
    yield Section("What the model owner has", tuple(_result(account)))
    yield Section(f"What {' and '.join(coalition)} could compute together", tuple(_coalition(account, coalition)))


def _sums(account: Account, sums: Iterable[Sum]) -> Iterator[str]:
    for each in sums:
        first, *rest = each.terms
        text = f"{'' if first.sign > 0 else '- '}{first.value} ({first.meaning})"
        text += "".join(f" {'+' if term.sign > 0 else '-'} {term.value} ({term.meaning})" for term in rest)
        yield f"coordinate {each.coordinate}: {text} = {each.total} mod {account.size} ({each.meaning})"


def _setting(account: Account) -> Iterator[str]:
    played = account.played
    terms = played.setting.terms
    encoder = played.encoder.encoders[0]
    yield f"protocol {terms.protocol}, threat {terms.threat}: {len(played.setting.owners)} owners, each of weight 1"
    yield (
        f"a value from {-encoder.clip:g} to {encoder.clip:g} becomes a whole number from 0 to {encoder.steps}, "
        f"and 0 becomes {encoder.zero}; sums are modulo {account.size}"
    )
    for owner, vector in played.values.items():
        encoded = ", ".join(str(account.encoded(owner, each)) for each in range(terms.dimension))
        yield f"{owner}: {', '.join(f'{value:g}' for value in vector)} becomes {encoded}"
    if terms.graph is not None:
        parameters = terms.graph.parameters(len(played.setting.owners))
        yield f"any {parameters.threshold} owners that hold shares of a secret can put it together"


def _holdings(account: Account) -> Iterator[str]:
    """A line a kind of message: who has it of whom after which phase, and what can be read of it."""
    senders: dict[tuple[str, str, str, str], dict[Player, None]] = {}
    receivers: dict[tuple[str, str, str, str], dict[Player, None]] = {}
    for each in account.played.said:
        as_one = (each.phase, each.message.kind, role_of(each.receiver), each.message.exposure)
        senders.setdefault(as_one, {})[each.sender] = None
        receivers.setdefault(as_one, {})[each.receiver] = None
    for group, owners in senders.items():
        have = "has" if len(receivers[group]) == 1 else "have"
        what = f"{group[1]} of {_listed(owners)}; it {_READABLE[group[3]]}"
        yield f"{group[0]}: {_listed(receivers[group])} {have} {what}"


def _listed(players: dict[Player, None]) -> str:
    names = list(players)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _left_behind(account: Account) -> Iterator[str]:
    lost = account.played.lost
    masks = [mask for mask in account.played.masks if account.name(mask).endswith(f"with {lost}")]
    left = dict.fromkeys(mask for mask in masks if mask.player in account.uploaders)
    if lost in account.survivors:
        yield f"nothing: {lost} had sent its vector, which is in the sum; what opens its own mask comes from the others"
        return
    if not left:
        yield f"nothing: no vector in the sum has a mask with {lost}"
    for mask in left:
        taken = any(each.key == mask.key and each.player not in account.uploaders for each in masks)
        after = "the compute nodes take it off" if taken else "nobody takes it off"
        sign = "+" if mask.sign > 0 else "-"
        yield f"{sign} {account.at(mask, 0)} at coordinate 0, in what {mask.player} sent: {after}"


def _result(account: Account) -> Iterator[str]:
    revealed = account.played.revealed
    if revealed is None:
        yield f"no sum: {account.played.reason}"
        return
    yield from _sums(account, account.results())
    mean = account.played.encoder.decode(revealed.words, revealed.weight)
    for coordinate, value in enumerate(mean):
        plain = sum(account.played.values[owner][coordinate] for owner in account.survivors) / len(account.survivors)
        yield (
            f"coordinate {coordinate}: the mean of {len(account.survivors)} owners is {value:.4f}; of the values "
            f"before they were encoded it is {plain:.4f}"
        )


def _coalition(account: Account, coalition: tuple[Player, ...]) -> Iterator[str]:
    yield "They have the masks they added, what was sent to them, and what they can put together from shares."
    alone = []
    for part in account.open_sets(coalition, 0):
        total = sum(account.encoded(owner, 0) for owner in part) % account.size
        if len(part) == 1:
            alone.append(part[0])
        what = "the input of" if len(part) == 1 else "the sum of"
        yield f"{what} {_listed(dict.fromkeys(part))}: {total} at coordinate 0"
    if not alone:
        yield "no input of one owner alone"
