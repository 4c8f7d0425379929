"""The menu of lies: what a role may say instead of what it would say, once.

    silence        no such message, to one receiver or to all of them
    replay         the message twice
    garbage        one bit of its vector, or of one of its fields, is another; or a list lacks its last entry, or all
    equivocation   any other set of owners, or another owner's number; also a roster without some of its owners and
                   their entries, or fewer owners that shared, with their boxes: instead of the message

A lie in messages of one kind to all of their receivers is the same lie to each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from itertools import combinations
from typing import Any, NamedTuple, get_type_hints

from asyncagg.engines.by_hand.driver import Item, Says
from asyncagg.protocols import messages as m
from asyncagg.protocols.batches import indices_in
from asyncagg.protocols.context import Context
from asyncagg.protocols.names import Player, owner_name


class Lie(NamedTuple):
    """Messages that are sent instead of the true ones."""

    text: str
    said: tuple[Says, ...]


def lies(context: Context, said: tuple[Says, ...]) -> Iterator[Lie]:
    """All lies over what a role says at one step: in one message, or in all of one kind alike."""
    by_kind: dict[str, list[int]] = {}
    for place, each in enumerate(said):
        if each.item is not None and m.KINDS[each.item.kind] is not m.Failed:  # who gives up is believed
            by_kind.setdefault(each.item.kind, []).append(place)
    for kind, where in by_kind.items():
        groups = [[place] for place in where] + ([where] if len(where) > 1 else [])
        for group in groups:
            whom = "all" if len(group) > 1 else said[group[0]].to
            yield from _lies_in(context, said, group, f"{kind} to {whom}")


def _lies_in(context: Context, said: tuple[Says, ...], group: list[int], name: str) -> Iterator[Lie]:
    """Lies in the messages at these places of what is said."""

    def with_(change: dict[int, tuple[Says, ...]]) -> tuple[Says, ...]:
        return tuple(each for place, one in enumerate(said) for each in change.get(place, (one,)))

    yield Lie(f"says no {name}", with_(dict.fromkeys(group, ())))
    yield Lie(f"says {name} twice", with_({place: (said[place], said[place]) for place in group}))
    variants = [dict(_variants(context, said[place])) for place in group]
    for text in variants[0]:
        if all(text in each for each in variants):
            changed: dict[int, tuple[Says, ...]] = {
                place: (Says(said[place].to, each[text]),) for place, each in zip(group, variants, strict=True)
            }
            yield Lie(f"says {name} with {text}", with_(changed))


def _variants(context: Context, said: Says) -> Iterator[tuple[str, Item]]:
    """Other messages of the same kind: (what is different, it)."""
    if said.item is None:
        return
    message = said.item.message()
    for text, other in _others(context, said.to, message):
        if other != message:
            yield text, Item.of(other)


def _others(context: Context, to: Player, message: m.Message) -> Iterable[tuple[str, m.Message]]:
    if isinstance(message, m.VectorMessage) and len(message.data):
        yield "a bit of its vector flipped", replace(message, data=_flipped(bytes(message.data)))
    hints = get_type_hints(type(message), include_extras=True)
    for field in fields(message):
        if field.name != "data":
            for text, value in _values(context, hints[field.name], getattr(message, field.name)):
                yield f"{text} {field.name}", replace(message, **{field.name: value})
    if isinstance(message, m.Roster):
        yield from _smaller_rosters(context, to, message)
    if isinstance(message, m.ShareBoxes):
        yield from _fewer_sharers(context, to, message)


def _values(context: Context, hint: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Other values of a field, by its type."""
    if hint == m.Bitmap:
        for members in range(1 << context.terms.population):
            yield f"{_named_in(members)} as", members.to_bytes(len(value), "little")
    elif hint == m.OwnerIndex:
        for index in range(context.terms.population):
            yield f"{owner_name(index)} as", index
    elif isinstance(value, bytes) and value:
        yield "a bit flipped in", _flipped(value)
    elif isinstance(value, tuple) and value:
        yield "the last entry missing from", value[:-1]
        yield "nothing in", ()
        spoilt = _spoilt(value[0])
        if spoilt is not None:
            yield "a bit flipped in the first entry of", (spoilt, *value[1:])


def _spoilt(entry: Any) -> Any:
    """An entry of a list with its last byte string that is not empty changed by a bit; None if it has none."""
    if isinstance(entry, tuple):
        for place in reversed(range(len(entry))):
            if isinstance(entry[place], bytes) and entry[place]:
                return (*entry[:place], _flipped(entry[place]), *entry[place + 1 :])
    return None


def _flipped(data: bytes, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)


def _smaller_rosters(context: Context, to: Player, roster: m.Roster) -> Iterator[tuple[str, m.Message]]:
    """The same roster without some owners, down to two."""
    for kept in _parts(context.players_in(roster.members), to):
        shown = tuple(entry for entry in roster.entries if owner_name(entry[0]) in kept)
        yield f"a roster of {_named(kept)}", replace(roster, members=context.bitmap_of(kept), entries=shown)


def _fewer_sharers(context: Context, to: Player, boxes: m.ShareBoxes) -> Iterator[tuple[str, m.Message]]:
    """U2 without some owners, and without their boxes; on the complete graph, where everyone else has one."""
    sharers = context.players_in(boxes.sharers)
    senders = [player for player in sharers if player != to]
    data = bytes(boxes.data)
    size, rest = divmod(len(data), max(1, len(senders)))
    if rest or to not in sharers:
        return
    for kept in _parts(sharers, to):
        left = b"".join(data[place * size : (place + 1) * size] for place, each in enumerate(senders) if each in kept)
        yield f"only {_named(kept)} sharing", replace(boxes, data=left, sharers=context.bitmap_of(kept))


def _parts(players: tuple[Player, ...], to: Player) -> Iterator[tuple[Player, ...]]:
    """Proper subsets of two or more with one owner in them, the largest first."""
    for count in range(len(players) - 1, 1, -1):
        yield from (part for part in combinations(players, count) if to in part)


def _named_in(members: int) -> str:
    return "{" + ", ".join(map(str, indices_in(members))) + "}"


def _named(players: Iterable[Player]) -> str:
    return ", ".join(players)
