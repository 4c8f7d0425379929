"""From encoder to checksum, together: the masked sum decodes to the encoded mean, bit for bit."""

import numpy as np
import pytest

from asyncagg.crypto import checksum
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.kdf import derive
from asyncagg.crypto.keystream import Uniforms, add_masks
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.vectors.encoder import Encoder
from asyncagg.vectors.packing import add_packed, pack
from asyncagg.vectors.slices import SlicePlan

SESSION = bytes(32)


def pairwise_keys(pairs, me):
    """The signed mask keys of owner `me`: plus for lower partners, minus for higher ones."""
    for other in range(len(pairs)):
        if other != me:
            secret = pairs[me].shared(pairs[other].public)
            low, high = sorted((me, other))
            yield derive(secret, SESSION, "mask", low, high, length=16), 1 if other < me else -1


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("nodes", [1, 3])
def test_pairwise_masks_cancel_in_the_sum_of_every_slice(bits, nodes):
    owners, dimension = 5, 1003
    generator = np.random.default_rng(bits)
    encoder = Encoder.for_population(owners, 2.0, bits, max_weight=300)
    ring, plan = encoder.ring, SlicePlan(dimension, nodes)
    pairs = [KeyPair.generate(InsecureSeededRandomness(1, owner)) for owner in range(owners)]
    sums = [ring.zeros(stop - start) for start, stop in map(plan.bounds, range(nodes))]
    inputs = []
    for owner in range(owners):
        weight = 50 * (owner + 1)
        values = generator.normal(0, 1, dimension).astype(np.float32)
        words = encoder.encode(values, weight, Uniforms(bytes([owner]) * 16)).words
        inputs.append(words)
        masked = plan.extend(words, weight, ring)
        add_masks(masked, list(pairwise_keys(pairs, owner)))
        for node in range(nodes):
            start, stop = plan.bounds(node)
            payload = pack(masked[start:stop], ring.bits)
            assert checksum.matches(SESSION, owner, node, payload, checksum.tag(SESSION, owner, node, payload))
            add_packed(sums[node], payload, ring.bits)
    words, weight, counts = plan.collect(sums, ring)
    assert (weight, counts) == (50 * 15, (owners,) * nodes)
    total = sum(words.astype(np.uint64) for words in inputs).astype(ring.dtype)
    assert np.array_equal(encoder.decode(words, weight), encoder.decode(total, weight))


def test_a_node_that_expands_its_own_slice_removes_the_mask_of_the_whole():
    plan, key = SlicePlan(1000, 4), bytes(range(16))
    vector = np.arange(plan.length, dtype="<u4")
    masked = vector.copy()
    add_masks(masked, [(key, 1)])
    for node in range(4):
        start, stop = plan.bounds(node)
        part = masked[start:stop].copy()
        add_masks(part, [(key, -1)], start)
        assert np.array_equal(part, vector[start:stop])
