"""The processes among which the seeds of a swarm are dealt out, and what each seed broke, in order.

Nothing of them is shared but two pipes: one by which they live, closed with the process that started them, however it
went, and one by which they tell. In a session of their own they hear nothing of a terminal's Ctrl-C.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from asyncagg.engines.processes import die_with_parent
from asyncagg.studies.swarm.shrink import check_seed


class HandLost(Exception):
    """A process has gone before its seeds were played; the text says at which."""


def play(seeds: range, folder: Path, processes: int, protocol: str | None = None) -> Generator[str | None]:
    """Of each seed what `check_seed` says, in order. Raises HandLost. However it ends, no process is left."""
    hands: list[subprocess.Popen[bytes]] = []
    try:
        for first in range(min(processes, len(seeds))):
            hands.append(_start(seeds[first::processes], folder, protocol))
        for place, seed in enumerate(seeds):
            yield _told(hands[place % processes], seed)
    finally:
        for hand in hands:
            hand.kill()
        for hand in hands:
            hand.communicate()


def _start(seeds: range, folder: Path, protocol: str | None) -> subprocess.Popen[bytes]:
    share = (str(number) for number in (seeds.start, seeds.stop, seeds.step))
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "asyncagg.studies.swarm.crew", *share, str(folder), protocol or ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def _told(hand: subprocess.Popen[bytes], seed: int) -> str | None:
    line = hand.stdout.readline() if hand.stdout is not None else b""
    if not line.endswith(b"\n"):
        raise HandLost(f"seed {seed}: the process that played it ended with status {hand.wait()}")
    told: str | None = json.loads(line)
    return told


def main() -> None:
    """Play a share of the seeds, a line of JSON on stdout for each."""
    die_with_parent.hold(sys.stdin.fileno())
    start, stop, step = map(int, sys.argv[1:4])
    for seed in range(start, stop, step):
        print(json.dumps(check_seed(seed, Path(sys.argv[4]), sys.argv[5] or None)), flush=True)


if __name__ == "__main__":
    main()
