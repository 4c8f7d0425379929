"""`asyncagg swarm`: play the scenarios of many seeds on all cores, and say what they broke."""

from __future__ import annotations

import multiprocessing
import os
import re
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from asyncagg.cli import interrupts
from asyncagg.cli.plain import BAD_USAGE, complain
from asyncagg.cli.words import number
from asyncagg.engines.swarm.shrink import check_seed

PASSED, BROKEN = 0, 1
_SEEDS = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)


def swarm(said: str, out: Path) -> int:
    """Play `A..B`, both in it; a line for each seed that breaks something; the exit status."""
    seeds = _seeds(said)
    if seeds is None:
        complain([f'asyncagg swarm: --seeds is "{said}" (first and last seed, such as 0..1999)'])
        return BAD_USAGE
    try:
        interrupts.release()
        failing = _play(seeds, out)
    except KeyboardInterrupt:
        interrupts.note()
        return interrupts.status()
    finally:
        interrupts.hold()
    total = number(len(seeds), "seed")
    print(f"{total}: every invariant held" if not failing else f"{total}: {failing} broke an invariant")
    return BROKEN if failing else PASSED


def _seeds(said: str) -> range | None:
    found = _SEEDS.fullmatch(said)
    if found is None or int(found[1]) > int(found[2]):
        return None
    return range(int(found[1]), int(found[2]) + 1)


def _play(seeds: range, out: Path) -> int:
    """How many failed. Processes begin afresh: this one has a thread that waits for signals."""
    failing = 0
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(len(seeds), os.cpu_count() or 1), fresh) as pool:
        try:
            for line in pool.map(partial(check_seed, folder=out), seeds, chunksize=4):
                if line is not None:
                    failing += 1
                    complain([line])
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failing
