"""Calibration: the time that this machine takes for each kind of work that `[compute]` prices, on one core.

Each measurement repeats the very functions that players run, until a tenth of a second has passed, five times over,
and keeps the fastest: what else the machine does only ever makes work slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.kdf import derive
from asyncagg.crypto.keystream import SignedKey, Uniforms, add_masks
from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.crypto.sealing import open_box, seal
from asyncagg.crypto.signing import Identity, verify
from asyncagg.engines.experiment import Experiment
from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.users import users_code
from asyncagg.net.durations import SECOND_NS
from asyncagg.scenario.values.units import DURATION, RATE
from asyncagg.vectors.arrays import as_arrays
from asyncagg.vectors.encoder import Encoder
from asyncagg.vectors.flatten import LayoutError
from asyncagg.vectors.packing import add_packed, pack
from asyncagg.vectors.ring import Ring

PERIOD_NS = 100_000_000
REPEATS = 5
DIMENSION = 1 << 20
"""Coordinates of the vectors that rates are measured with: larger than caches, as models are."""
HOLDERS, THRESHOLD = 100, 60
RING_BITS = 24
_DIGITS = 3


def calibrate(experiment: Experiment | None = None, period_ns: int = PERIOD_NS) -> dict[str, str]:
    """The keys of `[compute]` as a file says them; `gradient` only for an experiment, of its first owner.

    WorkloadError where that owner computes no gradient of the experiment.
    """
    durations = {
        "key_pair": _key_pair(period_ns),
        "key_agreement": _key_agreement(period_ns),
        "share": _share(period_ns),
        "box": _box(period_ns),
        "signature": _signature(period_ns),
    }
    if experiment is not None:
        durations["gradient"] = _gradient(experiment, period_ns)
    rates = {"keystream": _keystream(period_ns), "add": _add(period_ns), "encode": _encode(period_ns)}
    table = {key: DURATION.format(_rounded(taken_ns)) for key, taken_ns in durations.items()}
    return table | {key: RATE.format(_rounded(rate)) for key, rate in rates.items()}


def fastest_ns(work: Callable[[], object], period_ns: int) -> float:
    """Nanoseconds for one call, the fastest of several averages over a period each."""
    work()  # what is built at the first call is not measured
    return min(_average_ns(work, period_ns) for _ in range(REPEATS))


def _average_ns(work: Callable[[], object], period_ns: int) -> float:
    calls, began_ns = 0, time.perf_counter_ns()
    while (passed_ns := time.perf_counter_ns() - began_ns) < period_ns or not calls:
        work()
        calls += 1
    return passed_ns / calls


def _key_pair(period_ns: int) -> float:
    randomness = SystemRandomness()
    return fastest_ns(lambda: KeyPair.generate(randomness).public, period_ns)


def _key_agreement(period_ns: int) -> float:
    mine, other = KeyPair.generate(SystemRandomness()), KeyPair.generate(SystemRandomness()).public
    return fastest_ns(lambda: derive(mine.shared(other), b"", "calibrate"), period_ns)


def _share(period_ns: int) -> float:
    """Of two secrets among 100 holders, 60 of which rebuild them: one share."""
    randomness = SystemRandomness()
    secrets, points = [bytes(32), bytes(32)], range(1, HOLDERS + 1)
    return fastest_ns(lambda: shamir.share(secrets, points, THRESHOLD, randomness), period_ns) / (2 * HOLDERS)


def _box(period_ns: int) -> float:
    key, plain = bytes(32), bytes(2 * shamir.SHARE_BYTES)
    return fastest_ns(lambda: open_box(key, b"", seal(key, b"", plain)), period_ns) / 2


def _signature(period_ns: int) -> float:
    identity, message = Identity.generate(SystemRandomness()), bytes(64)
    signature = identity.sign(message)
    return fastest_ns(lambda: verify(identity.public, message, signature), period_ns)


def _gradient(experiment: Experiment, period_ns: int) -> float:
    key = "workload"
    owner, model = experiment.owner(0), experiment.workload.model_owner()
    with users_code(key):
        parameters = as_arrays(model.initial_parameters())
        gradient, _ = owner.compute_gradient(parameters, 0)
        arrays = as_arrays(gradient)
    try:
        experiment.layout.flatten(arrays)
    except LayoutError as error:
        raise WorkloadError(str(error), key) from None
    with users_code(key):
        return fastest_ns(lambda: owner.compute_gradient(parameters, 0), period_ns)


def _keystream(period_ns: int) -> float:
    """Bytes of mask a second."""
    words = Ring(RING_BITS).zeros(DIMENSION)
    keys: list[SignedKey] = [(bytes([index]) * 16, 1) for index in range(4)]
    taken_ns = fastest_ns(lambda: add_masks(words, keys), period_ns)
    return len(keys) * words.nbytes * SECOND_NS / taken_ns


def _add(period_ns: int) -> float:
    """Bytes a second, half of them words that are packed and half packed words that are added."""
    words = Ring(RING_BITS).zeros(DIMENSION)
    packed = pack(words, RING_BITS)
    packing_ns = fastest_ns(lambda: pack(words, RING_BITS), period_ns)
    adding_ns = fastest_ns(lambda: add_packed(words, packed, RING_BITS), period_ns)
    return (words.nbytes + len(packed)) * SECOND_NS / (packing_ns + adding_ns)


def _encode(period_ns: int) -> float:
    values = np.linspace(-1, 1, DIMENSION)
    encoder = Encoder.for_population(100, 8.0, 16, 1, "stochastic")
    taken_ns = fastest_ns(lambda: encoder.encode(values, 1, Uniforms(bytes(16))), period_ns)
    return values.nbytes * SECOND_NS / taken_ns


def _rounded(value: float) -> int:
    """Round to three digits: a measurement has no more."""
    whole = max(1, round(value))
    unit = 10 ** max(0, len(str(whole)) - _DIGITS)
    return int(round(whole / unit) * unit)
