"""All that one role can come to do, found out as it is needed, as a table: what follows when something happens to it.

A role is a function of what it is told, so a table of its steps is the role; most steps of an exploration only look
them up. An unknown step is found by driving a role by hand through its whole history, or by going on with one that
happens to stand there.

Histories that differ only in the order inside one gathering are one node. A history is cut where the role comes to wait
for other kinds, or to another phase; between two cuts, what it was told and what it did are sums, in which order is
forgotten. So four answers make 16 nodes and not 65, and an order that made the role do something else stays another
node. The first history found stands for all. Texts that say why are left out: they decide nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, fields, replace
from typing import Final, NamedTuple

from asyncagg.engines.by_hand.driver import Arrives, End, HandDriver, Input, Item, Says, Turn
from asyncagg.engines.by_hand.setting import LABEL, HandSetting, Place
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player

KEPT_DRIVERS: Final = 2048
"""Roles that are kept where they stand, so that going on needs no replay."""
_MODULUS: Final = 1 << 128

Deed = e.Got | e.Send
"""A message that a role was told, or said."""


class Cause(NamedTuple):
    """Input by which a node was found, and the node before it."""

    node: int
    what: Input


class History(NamedTuple):
    """History of a role: what it was told and did."""

    closed: bytes
    """Digest of all gatherings that are over."""
    standing: tuple[str, ...]
    """Phase and awaited kinds of the role when it was last told something."""
    gathered: int
    """Sum over what it was told there, and what it did then."""


@dataclass(frozen=True, slots=True)
class Node:
    """A role that has been through something."""

    cause: Cause | None
    """None: it has just begun."""
    history: History
    deeds: tuple[Deed, ...]
    """Messages in order, as it was told and said them."""
    phase: str = ""
    wanted: frozenset[str] = frozenset()
    """Kinds it waits for."""
    peers: frozenset[str] = frozenset()
    """Players whose departure it waits for."""
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    """(peer, kind) → how many came."""
    timers: tuple[Player | None, ...] = ()
    """Deadlines of the lead that have not passed."""
    crowded: str = ""
    """Messages that its mailbox holds too many of; empty: none."""
    end: End | None = None


class Step(NamedTuple):
    """Consequence of an input to a role."""

    node: int
    said: tuple[Says, ...]


class Behaviour:
    """The table of one role."""

    def __init__(self, setting: HandSetting, place: Place) -> None:
        self.setting = setting
        self.place = place
        self.nodes: list[Node] = []
        self._numbers: dict[object, int] = {}
        self._steps: dict[tuple[int, Input], Step] = {}
        self._drivers: OrderedDict[int, HandDriver] = OrderedDict()
        self.start = self._noted(self._fresh(), None, Node(None, History(b"", (), 0), ()), {})

    def step(self, number: int, what: Input) -> Step:
        """Consequence of this input to a role that has been through a node."""
        step = self._steps.get((number, what))
        if step is None:
            step = self._steps[number, what] = self._found(number, what)
        return step

    def crash(self, number: int, unsaid: tuple[Says, ...]) -> int:
        """The node of a role that crashes at a node, before it had said the last of what led there."""
        node = self.nodes[number]
        lost = [each.item for each in unsaid]
        deeds = tuple(deed for deed in node.deeds if not isinstance(deed, e.Send) or Item.of(deed.message) not in lost)
        crashed = replace(node, deeds=deeds, wanted=frozenset(), timers=(), crowded="", end=End("crashed"))
        return self._number(crashed, ("crashed", number, len(unsaid)))

    def path(self, number: int) -> list[Input]:
        """Inputs of a role up to a node, as it was found first."""
        path: list[Input] = []
        cause = self.nodes[number].cause
        while cause is not None:
            path.append(cause.what)
            cause = self.nodes[cause.node].cause
        return path[::-1]

    # -- finding out -------------------------------------------------------------------------------------------------

    def _fresh(self) -> HandDriver:
        return HandDriver(self.place, self.setting.role(self.place), self.setting.permissions)

    def _found(self, number: int, what: Input) -> Step:
        node = self.nodes[number]
        driver = self._drivers.pop(number, None)
        if driver is None:
            driver = self._fresh()
            driver.feed(*self.path(number))
        driver.feed(what)
        told = node.told
        if isinstance(what, Arrives):
            kind = what.peer, what.item.kind
            told = {**told, kind: told.get(kind, 0) + 1}
        return self._noted(driver, Cause(number, what), node, told)

    def _noted(self, driver: HandDriver, cause: Cause | None, before: Node, told: dict[tuple[str, str], int]) -> Step:
        """The step that a driver has just made, from what was before; its node is looked up, or made."""
        history, deeds = before.history, list(before.deeds)
        for turn in driver.turns:
            history = _then(history, turn)
            deeds += [each for each in (turn.event, *turn.effects) if isinstance(each, e.Got | e.Send)]
        said = (*driver.said, *self._farewell(driver))
        wait = driver.wait or e.Receive(())
        node = Node(
            cause,
            history,
            tuple(deeds),
            driver.phase,
            frozenset(kind.kind for kind in wait.kinds),
            frozenset(wait.peers),
            told,
            tuple(driver.timers),
            self._crowded(driver),
            driver.end,
        )
        how = None if driver.end is None else driver.end.how
        waits = sorted(node.peers), sorted(map(str, node.timers)), sorted(driver.aside), sorted(told.items())
        number = self._number(node, (history, driver.standing(), waits, how))
        if driver.end is None:
            self._keep(number, driver)
        return Step(number, said)

    def _number(self, node: Node, name: object) -> int:
        digest = _digest(name)
        number = self._numbers.get(digest)
        if number is None:
            number = self._numbers[digest] = len(self.nodes)
            self.nodes.append(node)
        return number

    def _crowded(self, driver: HandDriver) -> str:
        """Messages that wait in a mailbox although their sender had sent as many as it may; empty: none."""
        for (peer, kind), count in Counter((each.peer, each.item.kind) for each in driver.aside).items():
            permission = self.setting.permissions.between(peer, self.place.player).kinds.get(kind)
            if permission is None or count > permission.times:
                return f"{count} of {kind} from {peer}"
        return ""

    def _keep(self, number: int, driver: HandDriver) -> None:
        """Keep a driver that stands at a node: it has been through the same, if not in the same order."""
        self._drivers[number] = driver
        self._drivers.move_to_end(number)
        if len(self._drivers) > KEPT_DRIVERS:
            self._drivers.popitem(last=False)

    def _farewell(self, driver: HandDriver) -> list[Says]:
        """Messages after a role has failed: an owner tells the lead, a node tells two, the lead tells everybody."""
        if driver.farewell is None:
            return []
        hearers: tuple[Player, ...] = ()
        match self.place.role:
            case "owner":
                hearers = (LEAD,)
            case "node":
                hearers = (MODEL_OWNER, LEAD)
            case "lead":
                hearers = (MODEL_OWNER, *self.setting.terms.nodes, *self.setting.owners)
        item = Item.of(driver.farewell)
        return [Says(hearer, item) for hearer in hearers if hearer != self.place.player]


# -- histories -------------------------------------------------------------------------------------------------------


def _then(history: History, turn: Turn) -> History:
    """The history with one turn more."""
    total = _number_of(_event(turn.event)) + sum(_number_of(_effect(effect)) for effect in turn.effects)
    if turn.standing == history.standing:
        return history._replace(gathered=(history.gathered + total) % _MODULUS)
    return History(_digest(history), turn.standing, total % _MODULUS)


def bare(message: m.Message) -> tuple[str, bytes, bytes]:
    """A message without its texts."""
    texts = {each.name: "" for each in fields(message) if isinstance(getattr(message, each.name), str)}
    kind, body, payload = m.encode(LABEL, replace(message, **texts) if texts else message)
    return kind, bytes(body), bytes(payload)


def _event(event: e.Event | None) -> object:
    match event:
        case e.Got(peer, message):
            return "got", peer, bare(message)
        case e.Gone(peer, _):
            return "gone", peer
        case e.Expired(name):
            return "expired", name
    return "began"


def _effect(effect: e.Effect) -> object:
    match effect:
        case e.Send(to, message):
            return "send", to, bare(message)
        case e.Enter(phase):
            return "enter", phase
        case e.Permitted(owner):
            return "permitted", owner
        case e.Drop(owner, _):
            return "drop", owner
        case e.Refuse(peer, _):
            return "refuse", peer
        case e.Abort():
            return "abort", sorted(effect.dropped.items()), effect.exposed
    return type(effect).__name__  # it waits, computes, persists or releases: nobody is told


def _number_of(value: object) -> int:
    return int.from_bytes(_digest(value), "little")


def _digest(value: object) -> bytes:
    return hashlib.blake2b(repr(value).encode(), digest_size=16).digest()
