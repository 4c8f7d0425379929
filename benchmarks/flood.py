"""A data owner that floods the compute nodes from within: the pace of rounds while it does, over that without it.

Its own code, in its own process, sends every compute node three slices of the first attempt every 5 ms, 27 MB/s in all
while anybody listens: every one is well-formed, and none is its turn. Quiet and flooded rounds take turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncagg
from benchmarks.table import Row

ROUNDS, TURN = 120, 20
DIMENSION = 67_000
LEAST = 0.5
"""Of the pace of quiet rounds."""

OWN_CODE = """
import asyncio, gc, threading, time
from pathlib import Path
import numpy as np
import asyncagg
from asyncagg.players.data_owner import DataOwnerPlayer
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import Label

class Owner(asyncagg.DataOwner):
    max_weight = 1

    def __init__(self, dimension, flag):
        self.dimension, self.flag, self.begun = dimension, Path(flag), False

    def compute_gradient(self, parameters, round):
        if not self.begun:
            self.begun = True
            for player in [each for each in gc.get_objects() if isinstance(each, DataOwnerPlayer)]:
                if player.me == "data-owner-0":
                    threading.Thread(target=flood, args=(player, self.flag), daemon=True).start()
        return {"w": np.zeros(self.dimension)}, 1

class Model(asyncagg.ModelOwner):
    def __init__(self, dimension, flag):
        self.dimension = dimension

    def initial_parameters(self):
        return {"w": np.zeros(self.dimension)}

    def apply(self, parameters, mean):
        return parameters

def flood(player, flag):
    loop = next(each for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop) and each.is_running())

    def send():
        for name, channel in list(player.channels.items()):
            if name.startswith("compute-node-"):
                size = player.terms.slice_bytes(int(name.rpartition("-")[2]))
                for _ in range(3):
                    kind, body, payload = m.encode(Label(0, 1), m.MaskedSlice(bytes(size), bytes(32), bytes(16)))
                    channel.send(kind, body, payload)

    while True:
        if flag.exists():
            loop.call_soon_threadsafe(send)
        time.sleep(0.005)
"""


class Turns:
    """Seconds between the ends of rounds, quiet and flooded in turns."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self._last = 0.0

    def __call__(self, each: Any) -> None:
        """A round has ended."""
        now, number = time.perf_counter(), each["round"]
        if number % TURN > 1:  # whoever was cut off has come back, or gone
            self.seconds[self.flag.exists()].append(now - self._last)
        self._last = now
        if number % TURN == TURN - 1:
            self.flag.unlink() if self.flag.exists() else self.flag.touch()


def main() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "flooding.py").write_text(OWN_CODE)
        turns = Turns(Path(folder) / "flag")
        result = asyncagg.run(
            {
                "name": "flood",
                "engine": "processes",
                "rounds": ROUNDS,
                "check": False,
                "owners": {"count": 6, "per_process": 1},
                "aggregation": {"protocol": "secagg", "minimum_cohort": 2},
                "workload": {
                    "kind": "python",
                    "owner": "flooding:Owner",
                    "model_owner": "flooding:Model",
                    "path": folder,
                    "options": {"dimension": DIMENSION, "flag": str(turns.flag)},
                },
            },
            on_round=turns,
        )
    if result["status"] != "ok":
        raise RuntimeError(result["reason"])
    quiet, flooded = (statistics.median(turns.seconds[each]) for each in (False, True))
    what = "6 owners in 6 processes, one of which floods the compute nodes"
    return [Row(f"{what}: rounds", quiet / flooded, "of the pace", flooded / quiet, "quiet", LEAST)]
