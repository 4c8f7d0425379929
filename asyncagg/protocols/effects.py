"""What a role may ask of its driver, and what it is told: the whole vocabulary of a conversation.

A role is a generator. It yields effects and is sent events; it touches no socket, clock or random source of its own.

    Enter(phase)            the role enters a phase (trace); at the lead the phase's deadline starts
    Permitted(owner)        at the lead: this owner's permit starts; `Expired(owner)` when it has lasted too long
    Send(to, message)       never waits
    Receive(kinds, peers)   waits → Got(peer, message) | Gone(peer, reason) | Expired(key)
    Compute(cost, work)     a heavy pure function: on a thread in real engines, charged to the cost model in sim
    Persist()               the owner's account is written down before anything else is said
    Release(payload)        the memory of a received vector may be used again
    Drop(owner, reason)     at the lead: this owner is out of the attempt (trace)
    Refuse(peer, reason)    the one site of peer errors: that peer's part in this attempt ends, the others' go on
    Abort(reason, …)        ends the attempt for everybody this player speaks for

`Receive` hands out what has arrived in order of arrival, then those of `peers` that are gone (each once), then expiry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from asyncagg.protocols.messages import Buffer, Message
from asyncagg.protocols.names import Cause, Guilt, Phase, Player

T = TypeVar("T")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Cost:
    """Work in units that a cost model can price: counts, bytes and values; zero where there is none."""

    key_pairs: int = 0
    """X25519 key pairs made."""
    key_agreements: int = 0
    shares: int = 0
    """Shamir shares made or combined."""
    boxes: int = 0
    """Small messages sealed or opened."""
    keystream_bytes: int = 0
    expanded: int = 0
    """Mask elements expanded: L of them are one expansion of a vector of length L."""
    added_bytes: int = 0
    encoded_values: int = 0
    signatures: int = 0
    gradients: int = 0


@dataclass(frozen=True, slots=True)
class Enter:
    phase: Phase


@dataclass(frozen=True, slots=True)
class Permitted:
    owner: Player


@dataclass(frozen=True, slots=True)
class Send:
    to: Player
    message: Message


@dataclass(frozen=True, slots=True)
class Receive:
    kinds: tuple[type[Message], ...]
    peers: Collection[str] = ()
    """Whose departure ends the wait with `Gone`."""


@dataclass(frozen=True, slots=True)
class Compute:
    cost: Cost
    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Persist:
    """Waits until the account is where a restart finds it."""


@dataclass(frozen=True, slots=True)
class Release:
    payload: Buffer


@dataclass(frozen=True, slots=True)
class Drop:
    owner: Player
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    peer: Player
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    reason: str
    dropped: dict[Player, Phase] = field(default_factory=dict)
    """Owners that the lead dropped before, and when."""
    exposed: bool = False
    """Whether uploads had begun, so that a sum may still come to be known (pairwise)."""
    culprits: dict[Player, Guilt] = field(default_factory=dict)
    """Owners that are not to be invited again in this run."""


Effect = Enter | Permitted | Send | Receive | Compute | Persist | Release | Drop | Refuse | Abort


@dataclass(frozen=True, slots=True)
class Got:
    peer: Player
    message: Message


@dataclass(frozen=True, slots=True)
class Gone:
    peer: Player
    reason: str
    cause: Cause = "lost"
    """Of an owner that ends its part: whether its own computation failed."""


@dataclass(frozen=True, slots=True)
class Expired:
    key: Player | None = None
    """None: the phase; else the owner whose permit ran out."""


Event = Got | Gone | Expired
Role = Generator[Effect, Any, T]


class PeerGone(Exception):
    """A player that this role cannot do without has left; the attempt is over for the role."""

    def __init__(self, peer: Player, reason: str) -> None:
        super().__init__(f"{peer}: {reason}")
        self.peer = peer


class Rejected(Exception):
    """What others said cannot be gone along with: this player's part in the attempt ends, with these words.

    `culprits` are owners that are not to be invited again in this run.
    """

    def __init__(self, reason: str, culprits: Mapping[Player, Guilt] | None = None) -> None:
        super().__init__(reason)
        self.culprits = dict(culprits or {})


def receive(kind: type[M], peer: Player) -> Role[M]:
    """The one message of `kind` from `peer`; the same kind from anybody else is refused by name."""
    while True:
        event: Event = yield Receive((kind,), (peer,))
        match event:
            case Got(sender, message) if sender == peer and isinstance(message, kind):
                return message
            case Got(sender, _):
                yield Refuse(sender, f"sent {kind.kind}, which only {peer} may send here")
            case Gone(_, reason):
                raise PeerGone(peer, reason)


def collect(kind: type[M], peers: Collection[Player]) -> Role[dict[Player, M]]:
    """One message of `kind` from each of `peers`, in any order; listed in theirs. From anybody else it is refused."""
    found: dict[Player, M] = {}
    while len(found) < len(peers):
        missing = [peer for peer in peers if peer not in found]
        event: Event = yield Receive((kind,), missing)
        match event:
            case Got(sender, message) if sender in missing and isinstance(message, kind):
                found[sender] = message
            case Got(sender, _):
                yield Refuse(sender, f"sent {kind.kind}, which is not its to send")
            case Gone(peer, reason):
                raise PeerGone(peer, reason)
    return {peer: found[peer] for peer in peers}


def compute(cost: Cost, work: Callable[[], T]) -> Role[T]:
    """The result of `work`, wherever the engine runs it."""
    result: T = yield Compute(cost, work)
    return result
