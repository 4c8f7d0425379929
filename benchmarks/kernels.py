"""How fast the kernels are that every coordinate goes through: masking, rounding, packing, sharing, checking.

Each figure comes with its ratio to a limit or to the obvious way of doing the same, measured turn by turn
with it. One thread unless a row says otherwise; vectors of a million coordinates.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from asyncagg.crypto import checksum, shamir
from asyncagg.crypto.field import PRIME
from asyncagg.crypto.keystream import CHUNK, SignedKey, Uniforms, add_masks
from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.vectors.encoder import Encoder
from asyncagg.vectors.packing import add_packed, pack, packed_size, unpack
from asyncagg.vectors.ring import RingVector
from benchmarks.table import Row

COUNT = 1 << 20
MASKS = 32
ROUNDS = 7
OWNERS, HOLDERS, THRESHOLD = 1000, 100, 67


def main() -> list[Row]:
    """All rows; about ten seconds."""
    with threadpool_limits(1):
        return [*masking(), *encoding(), *packing(), *sharing(), *checking()]


def masking() -> Iterator[Row]:
    """Keystream added to 4 MiB of words, against the bare cipher."""
    words = np.zeros(COUNT, "<u4")
    keys: list[SignedKey] = [(secrets.token_bytes(16), 1 - 2 * (index % 2)) for index in range(MASKS)]
    gigabytes = MASKS * words.nbytes / 1e9
    fused, raw = alternate(lambda: add_masks(words, keys), lambda: bare_keystream(MASKS * words.nbytes))
    target = 0.7 * gigabytes / raw
    yield Row("masks: keystream + add", gigabytes / fused, "GB/s", raw / fused, "bare AES-128-CTR", target)
    with ThreadPoolExecutor(2) as pool:
        two, one = alternate(lambda: add_masks(words, keys, pool=pool), lambda: add_masks(words, keys))
    yield Row("masks: keystream + add, two threads", gigabytes / two, "GB/s", one / two, "one thread")


def encoding() -> Iterator[Row]:
    """Stochastic rounding to 16 bits with keystream draws, against float64 with numpy's generator."""
    encoder = Encoder.for_population(100, 8.0, 16)
    generator = np.random.default_rng(1)
    for dtype in ("float32", "float64"):
        values = generator.normal(0, 1, COUNT).astype(dtype)
        draws = Uniforms(secrets.token_bytes(16))
        ours, naive = alternate(
            partial(encoder.encode, values, 1, draws), partial(naive_encode, encoder, values, generator)
        )
        what = f"encode: {dtype} to 16 bits, stochastic"
        yield Row(what, COUNT / ours / 1e9, "G values/s", naive / ours, "float64 and floor", 0.6)


def packing() -> Iterator[Row]:
    """Packing at common ring sizes, against expanding to single bits."""
    for bits in (18, 20, 24):
        words: RingVector = np.random.default_rng(1).integers(0, 1 << bits, COUNT, dtype=np.uint32)
        place, out = pack(words, bits), words.copy()
        add, expand = partial(add_packed, out, place, bits), partial(naive_unpack, place, bits)
        for what, work, against, peer in (
            ("pack", partial(pack, words, bits, place), "packbits", partial(naive_pack, words, bits)),
            ("unpack", partial(unpack, place, COUNT, bits, out), "unpackbits", expand),
            ("add packed", add, "unpack, then add", partial(unpack_then_add, out, place, bits)),
        ):
            ours, other = alternate(work, peer)
            yield Row(f"{what}, {bits} bits", COUNT / ours / 1e9, "G values/s", other / ours, against)


def sharing() -> Iterator[Row]:
    """Shamir for a thousand owners, against Python integers."""
    owners = [secrets.token_bytes(32) for _ in range(OWNERS)]
    xs, randomness = list(range(1, HOLDERS + 1)), SystemRandomness()
    shares = shamir.share(owners, xs, THRESHOLD, randomness)
    few = OWNERS // 50
    ours, naive = alternate(
        lambda: shamir.share(owners, xs, THRESHOLD, randomness), lambda: naive_share(owners[:few], xs)
    )
    what, ratio = f"share {THRESHOLD} of {HOLDERS}", naive / few * OWNERS / ours
    yield Row(what, OWNERS / ours, "secrets/s", ratio, "Python integers", 30_000)
    some = shares[:, :THRESHOLD]
    ours, naive = alternate(
        lambda: shamir.reconstruct(xs[:THRESHOLD], some, THRESHOLD), lambda: naive_reconstruct(some[:few])
    )
    what, ratio = f"reconstruct {THRESHOLD} of {HOLDERS}", naive / few * OWNERS / ours
    yield Row(what, OWNERS / ours, "secrets/s", ratio, "Python integers", 100_000)


def checking() -> Iterator[Row]:
    """The checksum of a megabyte, against SHA-256."""
    payload, session = secrets.token_bytes(1 << 20), bytes(32)
    ours, other = alternate(lambda: checksum.tag(session, 1, 2, payload), lambda: hashlib.sha256(payload).digest())
    yield Row("checksum", len(payload) / ours / 1e9, "GB/s", other / ours, "SHA-256")


def alternate(work: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float]:
    """Best seconds of each, run in turns so that both see the same machine."""
    seconds = [(_seconds(work), _seconds(peer)) for _ in range(ROUNDS)]
    return min(own for own, _ in seconds), min(other for _, other in seconds)


def _seconds(work: Callable[[], object]) -> float:
    """Of a second run, when the memory that the first one needed is at hand again."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bare_keystream(size: int) -> None:
    """`size` bytes of keystream into one reused buffer."""
    cipher = Cipher(algorithms.AES(bytes(16)), modes.CTR(bytes(16))).encryptor()
    zeros, target = bytes(CHUNK), bytearray(CHUNK)
    for _ in range(size // CHUNK):
        cipher.update_into(zeros, target)


def naive_encode(encoder: Encoder, values: NDArray[np.floating], generator: np.random.Generator) -> RingVector:
    """Clamp, scale, add a uniform float, floor."""
    units = (np.clip(values.astype(np.float64), -encoder.clip, encoder.clip) + encoder.clip) * encoder.scale
    return np.floor(units + generator.random(values.size)).astype(np.uint32)


def naive_pack(words: RingVector, bits: int) -> NDArray[np.uint8]:
    """By way of single bits."""
    single = np.unpackbits(words.view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    return np.packbits(single[:, :bits])


def naive_unpack(packed: bytearray, bits: int) -> RingVector:
    """The reverse of `naive_pack`."""
    single = np.zeros((COUNT, 32), np.uint8)
    octets = np.frombuffer(packed, np.uint8, packed_size(COUNT, bits))
    single[:, :bits] = np.unpackbits(octets, count=COUNT * bits).reshape(COUNT, bits)
    return np.packbits(single, axis=1, bitorder="little").view(np.uint32).reshape(-1)


def unpack_then_add(total: RingVector, packed: bytearray, bits: int) -> None:
    """All of the vector unpacked before any of it is added."""
    np.add(total, unpack(packed, COUNT, bits), out=total)


def naive_share(owners: list[bytes], xs: list[int]) -> list[list[int]]:
    """Horner's rule limb by limb, reduced once a point."""
    table = []
    for secret in owners:
        number = int.from_bytes(secret, "little")
        for limb in range(shamir.LIMBS):
            constant = number >> 29 * limb & (1 << 29) - 1
            polynomial = [constant, *(secrets.randbelow(PRIME) for _ in range(THRESHOLD - 1))]
            table.append([_value(polynomial, x) for x in xs])
    return table


def _value(polynomial: list[int], x: int) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * x + coefficient) % PRIME
    return value


def naive_reconstruct(shares: NDArray[np.uint32]) -> list[int]:
    """Weighted sums limb by limb, with the weights at hand."""
    weights = shamir.lagrange_weights(tuple(range(1, THRESHOLD + 1))).tolist()
    columns = shares.swapaxes(1, 2).reshape(-1, THRESHOLD).tolist()
    return [sum(w * s for w, s in zip(weights, column, strict=True)) % PRIME for column in columns]


if __name__ == "__main__":
    from benchmarks.table import render

    print(render({"kernels": main()}))
