"""All players of one attempt at once: what each role went through, what is on its way, and what can happen next.

Every two players have a channel that keeps its order; between channels everything is chance. A state is a row of
numbers: for each role a node of its `Behaviour`, for each channel a list of messages, and what may still go wrong.

Three things are left out because they change nothing (the reductions):

    put aside   A message that its receiver only puts aside, since it waits for another kind, stays in the channel until
                it is waited for or something behind it is: the mailbox would hand it out at the same moment.
    alone       A role that waits for one kind from one player alone is told before anything else happens: all that the
                others can do in the meantime comes to the same afterwards.
    in order    Where nothing can go wrong any more, a lead that gathers one kind is told in one order: answers of
                different owners commute there, and no deadline can come between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from asyncagg.engines.by_hand.driver import Arrives, Departs, Ends, Expires, Input, Item, Says
from asyncagg.engines.by_hand.setting import HandSetting, Place
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player, role_of
from asyncagg.testing.explore.behaviour import Behaviour, Node, Step, bare
from asyncagg.testing.explore.lies import Lie, lies

LOST: Final = Item("", b"", b"")
"""The end of a channel: the connection is lost."""

State = tuple[int, ...]
"""Nodes of all roles, contents of all channels, then drops, lies, early deadlines and faults that are left, and whose
lie there was: of the role before this number."""
DROPS, LIES, EARLY, TOTAL, LIAR = range(-5, 0)


@dataclass(frozen=True, slots=True)
class Faults:
    """Bounds on what may go wrong in one run."""

    drops: int = 1
    """Owners that are lost, after any message."""
    lies: int = 1
    """Lies of one role."""
    early: int = 1
    """Deadlines of the lead that pass although something is on its way."""
    total: int = 1
    """All of these together."""


class ExploredStep(NamedTuple):
    """One step of a run, in words that find it again."""

    what: str
    """begin, deliver, expire."""
    sender: str
    receiver: str
    kind: str
    then: str
    """Fault that comes with it; empty: none."""


class Move(NamedTuple):
    """Something that can happen next: the first items of a channel arrive, or a deadline passes."""

    channel: int
    """Its place in a state; -1: a deadline."""
    items: int
    """Number of items."""
    key: Player | None = None
    """Of a deadline."""


class World:
    """States of one setting and what leads from one to another."""

    def __init__(self, setting: HandSetting, faults: Faults, reduced: bool = True) -> None:
        """Without the reductions `alone` and `in order`, where not `reduced`."""
        self.setting = setting
        self.faults = faults
        self.places = setting.places
        self.behaviours = [Behaviour(setting, place) for place in self.places]
        self._reduced = reduced
        self.roles_of: dict[Player, list[int]] = {}
        for index, place in enumerate(self.places):
            self.roles_of.setdefault(place.player, []).append(index)
        self.lead = self.places.index(Place(LEAD, "lead"))
        self.channels = [
            (one, other)
            for one in self.roles_of
            for other in self.roles_of
            if one != other and not (role_of(one) == role_of(other) == "data-owner")
        ]
        self._channel = {pair: len(self.places) + index for index, pair in enumerate(self.channels)}
        self._end = len(self.places) + len(self.channels)
        self._items: dict[object, Item] = {LOST: LOST}
        self._contents: list[tuple[Item, ...]] = [()]
        self._content: dict[tuple[Item, ...], int] = {(): 0}
        self._counts: dict[tuple[int, ...], int] = {}
        self._lies: dict[tuple[int, tuple[Says, ...]], tuple[Lie, ...]] = {}

    # -- reading a state ---------------------------------------------------------------------------------------------

    def node(self, state: Sequence[int], place: int) -> Node:
        return self.behaviours[place].nodes[state[place]]

    def nodes(self, state: State) -> tuple[Node, ...]:
        """Of all roles."""
        return tuple(self.node(state, place) for place in range(len(self.places)))

    # -- the beginning -----------------------------------------------------------------------------------------------

    def beginnings(self) -> Iterator[tuple[ExploredStep, State]]:
        """All states in which every role has begun, and what went wrong with that."""
        faults = self.faults
        empty = [0] * self._end + [faults.drops, faults.lies, faults.early, faults.total, 0]
        states: list[tuple[str, list[int]]] = [("", empty)]
        for place in range(len(self.places)):
            step = self.behaviours[place].start
            states = [
                (before or text, after)
                for before, state in states
                for text, after in self._outcomes(state, place, step)
            ]
        for text, state in states:
            yield ExploredStep("begin", "", "", "", text), tuple(state)

    # -- what can happen ---------------------------------------------------------------------------------------------

    def moves(self, state: State) -> list[Move]:
        """Moves that can happen next, less those that may as well happen later."""
        moves = [
            Move(channel, count)
            for channel in range(len(self.places), self._end)
            if state[channel] and (count := self._count(state, channel))
        ]
        if self._reduced:
            for move in moves:
                if self._is_alone(state, move):
                    return [move]
            moves = self._in_order(state, moves)
        timers = self.node(state, self.lead).timers
        if timers and (not moves or (state[EARLY] and state[TOTAL])):
            moves += [Move(-1, 0, key) for key in timers]
        return moves

    def _count(self, state: Sequence[int], channel: int) -> int:
        """Number of items up to the first that is more than put aside; 0 if all are."""
        roles = self.roles_of[self.channels[channel - len(self.places)][1]]
        key = (channel, state[channel], *(state[place] for place in roles))
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = self._counted(state, channel)
        return count

    def _counted(self, state: Sequence[int], channel: int) -> int:
        sender, receiver = self.channels[channel - len(self.places)]
        passed: dict[tuple[int, str], int] = {}
        for count, item in enumerate(self._contents[state[channel]]):
            for place, what in self._inputs(sender, receiver, item):
                node = self.node(state, place)
                if node.end is not None:
                    continue
                match what:
                    case Arrives(peer, (kind, _, _)):
                        earlier = node.told.get((peer, kind), 0) + passed.get((place, kind), 0)
                        if kind in node.wanted or earlier >= self._times(peer, receiver, kind):
                            return count + 1
                        passed[place, kind] = passed.get((place, kind), 0) + 1
                    case Departs(peer, _) if peer in node.peers:
                        return count + 1
                    case Ends():
                        return count + 1
        return 0

    def _times(self, sender: Player, receiver: Player, kind: str) -> int:
        permission = self.setting.permissions.between(sender, receiver).kinds.get(kind)
        return 0 if permission is None else permission.times

    def _is_alone(self, state: State, move: Move) -> bool:
        sender, receiver = self.channels[move.channel - len(self.places)]
        roles = self.roles_of[receiver]
        node = self.node(state, roles[0])
        return len(roles) == 1 == len(node.wanted) and node.peers == {sender}

    def _in_order(self, state: State, moves: list[Move]) -> list[Move]:
        """Of the answers that a lead gathers, only the first, where nothing but answers can come."""
        lead = self.node(state, self.lead)
        if (state[EARLY] and state[TOTAL]) or len(lead.wanted) != 1:
            return moves
        (kind,) = lead.wanted
        answers = [
            move
            for move in moves
            if self.channels[move.channel - len(self.places)][1] == LEAD
            and self._contents[state[move.channel]][move.items - 1].kind == kind
        ]
        return [move for move in moves if move not in answers[1:]]

    def _inputs(self, sender: Player, receiver: Player, item: Item) -> Iterable[tuple[int, Input]]:
        """Inputs that an item is for the roles of its receiver, as players route it."""
        roles = self.roles_of[receiver]
        if item is LOST:
            return [(place, Departs(sender, "connection lost")) for place in roles]
        kind = m.KINDS[item.kind]
        if kind is m.Failed:
            reason = _reason(item)
            ends = sender == LEAD
            return [(place, Ends(reason) if ends else Departs(sender, reason)) for place in roles]
        if kind is m.Excluded and role_of(receiver) == "data-owner":
            return [(roles[0], Ends(f"excluded: {_reason(item)}"))] if sender == LEAD else []
        return [(place, Arrives(sender, item)) for place in roles if self.places[place].role == kind.to]

    # -- what follows ------------------------------------------------------------------------------------------------

    def after(self, state: State, move: Move) -> Iterator[tuple[ExploredStep, State]]:
        """All that a move can lead to."""
        if move.channel < 0:
            yield from self._expired(state, move.key)
            return
        sender, receiver = self.channels[move.channel - len(self.places)]
        items = self._contents[state[move.channel]]
        states: list[tuple[str, list[int]]] = [("", list(state))]
        states[0][1][move.channel] = self._numbered(items[move.items :])
        for item in items[: move.items]:
            for place, what in self._inputs(sender, receiver, item):
                states = [
                    (text or more, after)
                    for text, before in states
                    for more, after in self._happens(before, place, what)
                ]
        kind = items[move.items - 1].kind or "connection lost"
        for text, after in states:
            yield ExploredStep("deliver", sender, receiver, kind, text), tuple(after)

    def _expired(self, state: State, key: Player | None) -> Iterator[tuple[ExploredStep, State]]:
        before = list(state)
        if any(state[channel] and self._count(state, channel) for channel in range(len(self.places), self._end)):
            before = _spent(before, EARLY)
        phase = self.node(state, self.lead).phase
        for text, after in self._happens(before, self.lead, Expires(key)):
            yield ExploredStep("expire", key or "", "lead", phase, text), tuple(after)

    def _happens(self, state: list[int], place: int, what: Input) -> Iterator[tuple[str, list[int]]]:
        """Something happens to one role: what it says goes on its way, unless something goes wrong."""
        if self.node(state, place).end is not None:
            yield "", state
        else:
            yield from self._outcomes(state, place, self.behaviours[place].step(state[place], what))

    def _outcomes(self, state: list[int], place: int, step: Step) -> Iterator[tuple[str, list[int]]]:
        yield "", self._said(list(state), place, step.node, step.said)
        where = self.places[place]
        if where.role == "owner" and state[DROPS] and state[TOTAL] and self._goes_on(place, step):
            for count in range(len(step.said) + 1):
                yield self._dropped(state, place, step, count)
        if state[LIES] and state[TOTAL] and step.said and self._is_liar(where):
            for lie in self._lies_of(place, step.said):
                lied = _spent(state, LIES)
                lied[LIAR] = place + 1
                yield f"{where} {lie.text}", self._said(lied, place, step.node, lie.said)

    def _goes_on(self, place: int, step: Step) -> bool:
        """True if it makes a difference that this role is lost here."""
        return bool(step.said) or self.behaviours[place].nodes[step.node].end is None

    def _dropped(self, state: list[int], place: int, step: Step, count: int) -> tuple[str, list[int]]:
        """An owner is lost after so many of its messages: everyone who talks to it loses the connection."""
        player = self.places[place].player
        node = self.behaviours[place].crash(step.node, step.said[count:])
        cut = [Says(other, None) for other in (*self.setting.terms.nodes, MODEL_OWNER)]
        after = self._said(_spent(state, DROPS), place, node, (*step.said[:count], *cut))
        return f"{player} is lost after {count} of {len(step.said)} messages", after

    def _said(self, state: list[int], place: int, node: int, said: Iterable[Says]) -> list[int]:
        """The state with a role in another node, and what it said on its way; it is changed."""
        me = self.places[place].player
        state[place] = node
        to_itself: list[Item] = []
        for to, item in said:
            if to == me and item is not None:
                to_itself.append(self._shared(item))
            elif (me, to) in self._channel:
                self._send(state, me, to, item)
        for item in to_itself:
            for other, what in self._inputs(me, me, item):
                state = self._told(state, other, what)
        end = self.node(state, place).end
        if end is not None:
            self._forget(state, me)
            if end.how == "failed":
                for other in self.roles_of[me]:
                    if other != place:
                        failed = self.places[place].role == "lead"
                        state = self._told(state, other, Ends(end.reason) if failed else Departs(me, end.reason))
        return state

    def _told(self, state: list[int], place: int, what: Input) -> list[int]:
        """A role hears another one of its player, at once."""
        if self.node(state, place).end is not None:
            return state
        step = self.behaviours[place].step(state[place], what)
        return self._said(state, place, step.node, step.said)

    def _send(self, state: list[int], sender: Player, to: Player, item: Item | None) -> None:
        """Put an item on its way; None: cut the connection, so that nothing more comes over it either way."""
        channel = self._channel[sender, to]
        items = self._contents[state[channel]]
        if items and items[-1] is LOST:
            return
        if all(self.node(state, place).end is not None for place in self.roles_of[to]):
            return  # nobody listens
        state[channel] = self._numbered((*items, LOST if item is None else self._shared(item)))
        if item is None and (to, sender) in self._channel:
            state[self._channel[to, sender]] = self._numbered((LOST,))

    def _forget(self, state: list[int], player: Player) -> None:
        """Drop what is on its way to a player none of whose roles goes on: it changes nothing."""
        if all(self.node(state, place).end is not None for place in self.roles_of[player]):
            for (_, receiver), channel in self._channel.items():
                if receiver == player:
                    state[channel] = 0

    def _lies_of(self, place: int, said: tuple[Says, ...]) -> tuple[Lie, ...]:
        if (place, said) not in self._lies:
            context = self.setting.context(self.places[place])
            self._lies[place, said] = tuple(lies(context, said))
        return self._lies[place, said]

    def _is_liar(self, place: Place) -> bool:
        """Owners may lie under every threat, compute nodes and the lead only where the threat says so."""
        return place.role == "owner" or (self.setting.terms.threat == "lying" and place.role != "receiver")

    # -- numbers -----------------------------------------------------------------------------------------------------

    def _shared(self, item: Item) -> Item:
        """The first of all items that say the same, texts aside."""
        known = self._items.get(item)
        if known is None:
            known = self._items.setdefault(bare(item.message()), item)
            self._items[item] = known
        return known

    def _numbered(self, items: tuple[Item, ...]) -> int:
        number = self._content.get(items)
        if number is None:
            number = self._content[items] = len(self._contents)
            self._contents.append(items)
        return number


def _spent(state: Sequence[int], which: int) -> list[int]:
    after = list(state)
    after[which] -= 1
    after[TOTAL] -= 1
    return after


def _reason(item: Item) -> str:
    message = item.message()
    return message.reason if isinstance(message, m.Failed | m.Excluded) else ""
