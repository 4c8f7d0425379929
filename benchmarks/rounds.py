"""What a whole round of secagg costs: owners' and nodes' masks against the bare keystream, and the rest of the round.

Everything runs in one process in virtual time, on one core, with real cryptography; 10 % of the owners drop at
upload, so that the nodes expand S + D·S masks. The limit is AES-128-CTR over as many bytes, measured before and after
the round.
"""

from __future__ import annotations

import os
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import asyncagg
from benchmarks.table import Row

DIMENSION = 1 << 18
BLOCK = 1 << 17


def keystream_rate(total: int = 1 << 29) -> float:
    """Bytes of AES-128-CTR keystream a second on one core."""
    cipher = Cipher(algorithms.AES(os.urandom(16)), modes.CTR(bytes(16))).encryptor()
    zeros, out = bytes(BLOCK), bytearray(BLOCK)
    started = time.perf_counter()
    for _ in range(total // BLOCK):
        cipher.update_into(zeros, out)
    return total / (time.perf_counter() - started)


def one_round(owners: int) -> Row:
    """CPU seconds of one round, as a ratio to the keystream it cannot do without."""
    before = keystream_rate()
    result = asyncagg.run(
        {
            "name": "bench",
            "engine": "sim",
            "check": False,
            "owners": {"count": owners},
            "aggregation": {"protocol": "secagg", "dropout": 0.3},
            "workload": {"kind": "synthetic", "dimension": DIMENSION},
            "faults": [{"kind": "drop", "phase": "upload", "players": {"fraction": 0.1}}],
        }
    )
    expansions = sum(result["rounds"][0]["work"]["mask_expansions"].values())
    least = expansions * DIMENSION * 4 / ((before + keystream_rate()) / 2)
    seconds = result["seconds"]["cpu"]
    what = f"{owners} owners, d = {DIMENSION}, 10 % dropping, {expansions:g} mask expansions"
    return Row(what, seconds, "CPU s", seconds / least, "AES-128-CTR over the same bytes")


def main() -> list[Row]:
    return [one_round(owners) for owners in (10, 50, 100)]
