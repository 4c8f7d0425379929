"""What wrong shares cost whoever rebuilds secrets: CPU time of an unmasking with liars over that of an honest one.

The complete graph, everyone in the sum, so that nothing is rebuilt but self-mask secrets: where owners have dropped,
the key agreements for their masks take far longer, and the ratios are smaller.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from asyncagg.crypto import shamir
from asyncagg.crypto.field import PRIME
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.engines.experiment import prepare
from asyncagg.protocols.context import Context
from asyncagg.protocols.names import LEAD, Label, Player, owner_name
from asyncagg.protocols.parameters.choose import choose
from asyncagg.protocols.parameters.graph import CompleteGraph
from asyncagg.protocols.secagg.owner_secrets import commitment
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.share_tags import SELF_MASK, share_tag
from asyncagg.protocols.secagg.unmasking import Unmasking
from asyncagg.scenario.reading.load import parse
from benchmarks.table import Row

SIZES = ((200, 1), (200, 40), (1000, 1))
"""Owners, and how many of them lie."""
ROUNDS = 3
MOST = 10.0
"""What a liar may make of the honest unmasking."""


class Answered:
    """A session of `owners` in which everybody has answered, and how long it takes to unmask it."""

    def __init__(self, owners: int) -> None:
        session = _session(owners)
        randomness = InsecureSeededRandomness(owners, "unmasking")
        secrets = [randomness.bytes(32) for _ in session.names]
        points = [session.point(player) for player in session.names]
        shares = shamir.share(secrets, points, session.threshold, randomness)
        commitments = {
            player: commitment(secret, session.id) for player, secret in zip(session.names, secrets, strict=True)
        }
        self.unmasking = Unmasking(session, session.names, dict.fromkeys(session.names), commitments)
        self.answers = {player: shares[:, place].tobytes() for place, player in enumerate(session.names)}
        self._tags = {player: self._tags_of(player) for player in session.names}

    def _tags_of(self, holder: Player) -> bytes:
        size, session, answer = shamir.SHARE_BYTES, self.unmasking.session, self.answers[holder]
        return b"".join(
            share_tag(session.id, dealer, holder, SELF_MASK, answer[place * size : (place + 1) * size])
            for place, dealer in enumerate(session.names)
        )

    def seconds(self, liars: Iterable[Player] = ()) -> tuple[float, list[Player]]:
        """CPU time of the best of some unmaskings in which every share of the liars is wrong; and who was named."""
        answers = dict(self.answers)
        for liar in liars:
            answers[liar] = _wrong(answers[liar])
        taken = []
        for _ in range(ROUNDS):
            started = time.process_time()
            recovered = self.unmasking.recover(answers, lambda holder: self._tags[holder])
            taken.append(time.process_time() - started)
        return min(taken), list(recovered.culprits)


def _session(owners: int) -> Session:
    values = {
        "name": "unmasking",
        "owners": {"count": owners},
        "aggregation": {"protocol": "secagg", "corrupt": 0.1, "dropout": 0.3},
        "workload": {"kind": "synthetic", "dimension": 3},
    }
    experiment = prepare(parse(values))
    terms = experiment.terms(bytes(16))
    names = tuple(owner_name(index) for index in range(owners))
    randomness = InsecureSeededRandomness(0, "unmasking")
    context = Context(terms, LEAD, Label(0, 1), bytes((owners + 7) // 8), bytes(32), randomness)
    return Session(context, names, {}, bytes(32), choose("secagg", experiment.population), CompleteGraph(owners))


def _wrong(answer: bytes) -> bytes:
    """Other numbers below p for every share."""
    limbs = np.frombuffer(answer, "<u4").astype(np.uint64)
    return ((limbs + 1) % PRIME).astype("<u4").tobytes()


def main() -> list[Row]:
    """All rows; about a minute."""
    answered = {owners: Answered(owners) for owners in sorted({owners for owners, _ in SIZES})}
    return [_row(answered[owners], lying) for owners, lying in SIZES]


def _row(answered: Answered, lying: int) -> Row:
    names = answered.unmasking.sharers
    liars = [names[place * len(names) // lying] for place in range(lying)]
    honest, _ = answered.seconds()
    spoilt, named = answered.seconds(liars)
    if named != liars:
        raise ValueError(f"{len(named)} owners are named, and {lying} lied (exactly those that lied)")
    what = f"{len(names)} owners, {lying} of them answering with wrong shares"
    return Row(what, 1 / spoilt, "unmaskings/s", honest / spoilt, "all honest", 1 / honest / MOST)
