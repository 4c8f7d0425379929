"""`additive`: uploads that somebody makes in another owner's name, to have its mate alone in a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.hand import LABEL, Faults, Hand

from asyncagg.crypto import checksum
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.kdf import derive
from asyncagg.crypto.keystream import add_masks
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.crypto.sealing import seal
from asyncagg.protocols import additive
from asyncagg.protocols import messages as m
from asyncagg.protocols.batches import Batches
from asyncagg.protocols.context import Context
from asyncagg.protocols.names import LEAD, Player, index_of, owner_name
from asyncagg.vectors.packing import pack

CUT = Batches(6, 2, bytes(32))
VICTIM = owner_name(1)
"""Stays away, and somebody speaks for it."""
MATE = next(owner_name(index) for index in range(6) if index != 1 and CUT.batch_of(index) == CUT.batch_of(1))


class Forger:
    """Knows all that is public, and what the owner's own messages say; has another's key, or none, to sign with."""

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self.hand: Hand | None = None
        self.sign = sign
        self.keys: dict[Player, bytes] = {}

    def __call__(self, sender: Player, to: Player, message: m.Message) -> list[m.Message]:
        assert self.hand is not None
        if isinstance(message, m.NodeKey):
            self.keys[sender] = message.public
        if sender != VICTIM:
            return [message]
        if isinstance(message, m.ShareSlice):
            return [self._slice()]
        return [self._seed(to)] if isinstance(message, m.SealedSeed) else [message]

    @property
    def context(self) -> Context:
        assert self.hand is not None
        return Context(
            terms=self.hand.terms,
            me=VICTIM,
            label=LABEL,
            invited=m.to_bitmap(list(range(6)), 6),
            digest=bytes(32),
            randomness=InsecureSeededRandomness(0, "forger"),
        )

    def _slice(self) -> m.ShareSlice:
        """A share of zeros, with weight 1: it fits the seeds below."""
        context = self.context
        ring, plan = context.terms.ring, context.terms.plan
        words = plan.extend(ring.zeros(context.terms.dimension), 1, ring)
        add_masks(words, [(bytes(16), -1)] * (len(context.terms.nodes) - 1))
        data = pack(words, ring.bits)
        tag = checksum.tag(context.round_id, index_of(VICTIM), 0, data)
        return m.ShareSlice(data, bytes(32), tag, self.sign(additive.slice_text(context, VICTIM, bytes(data))))

    def _seed(self, node: Player) -> m.SealedSeed:
        """A seed of the forger's own, in a box that opens."""
        context = self.context
        pair = KeyPair.generate(context.randomness)
        aad = additive._binding(context, VICTIM, node)
        box = seal(derive(pair.shared(self.keys[node]), context.round_id, "seed box", aad, length=16), aad, bytes(16))
        text = additive.seed_text(context, VICTIM, node, pair.public, box)
        return m.SealedSeed(bytes(32), pair.public, box, self.sign(text))


def attacked(sign: Callable[[bytes], bytes], threat: str = "lying", seed: int = 0) -> Hand:
    forger = Forger(sign)
    hand = Hand("additive", 6, seed=seed, faults=Faults(tamper=forger), threat=threat, cut=CUT)
    forger.hand = hand
    return hand.play()


def by(owner: Player) -> Callable[[bytes], bytes]:
    """A signature of another owner that colludes."""

    def sign(text: bytes) -> bytes:
        return Hand("additive", 6, threat="lying", cut=CUT).identities[owner].sign(text)

    return sign


@pytest.mark.parametrize("sign", [lambda text: bytes(64), lambda text: b"", by(owner_name(3))], ids=["", "no", "other"])
def test_no_node_holds_what_an_owner_did_not_sign(sign: Callable[[bytes], bytes]) -> None:
    for seed in range(5):
        hand = attacked(sign, seed=seed)
        assert f"the signature of {VICTIM} on its upload is wrong" in hand.dropped[VICTIM]
        assert MATE in hand.dropped  # its batch is not whole
        assert hand.revealed is not None
        assert hand.revealed.survivors == tuple(owner for owner in hand.owners if owner not in (VICTIM, MATE))
        assert hand.is_right()
        added = {batch for _, to, message in hand.said if isinstance(message, m.Commit) for batch in [message.batch]}
        assert CUT.batch_of(1) not in added


@pytest.mark.parametrize("kind", [m.ShareSlice, m.SealedSeed])
def test_every_node_checks_for_itself(kind: type[m.Message]) -> None:
    """Only one message is forged: the nodes that get the true ones hold them, and the batch is out all the same."""

    class One(Forger):
        def __call__(self, sender: Player, to: Player, message: m.Message) -> list[m.Message]:
            forged = super().__call__(sender, to, message)
            return forged if isinstance(message, kind) else [message]

    forger = One(lambda text: bytes(64))
    hand = Hand("additive", 6, faults=Faults(tamper=forger), threat="lying", cut=CUT)
    forger.hand = hand
    hand.play()
    holds = {sender for sender, to, message in hand.said if message == m.Held(1)}
    assert holds == ({"compute-node-1", "compute-node-2"} if kind is m.ShareSlice else {LEAD})
    assert hand.is_right()
    assert VICTIM in hand.dropped


def test_without_the_check_a_mate_is_alone_in_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack is real: the sum of this batch is then the input of one owner."""
    monkeypatch.setattr(additive, "not_of", lambda context, owner, text, signature: None)
    hand = attacked(lambda text: bytes(64))
    assert hand.revealed is not None
    assert VICTIM in hand.revealed.survivors
    words, weight = hand.inputs[MATE]
    others = [owner for owner in hand.owners if owner not in (VICTIM, MATE)]
    rest = sum((hand.inputs[owner][0] for owner in others), hand.terms.ring.zeros(hand.terms.dimension))
    assert hand.terms.ring.cut(hand.revealed.words - rest).tolist() == words.tolist()
    assert hand.revealed.weight == 1 + weight + sum(hand.inputs[owner][1] for owner in others)
