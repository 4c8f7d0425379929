"""`python -m asyncagg.testing swarm`: play the scenarios of many seeds on all cores, and say what they broke."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path

from asyncagg.cli import interrupts
from asyncagg.cli.output.plain import BAD_USAGE, answer, complain
from asyncagg.protocols import registry
from asyncagg.report.words import number
from asyncagg.studies.swarm import crew
from asyncagg.testing.names import PROGRAM

PASSED, BROKEN = 0, 1
_SEEDS = re.compile(r"(\d{1,18})\.\.(\d{1,18})", re.ASCII)


def swarm(said: str, out: Path, protocol: str | None) -> int:
    """Play `A..B`, both in it; a line for each seed that breaks something; the exit status."""
    seeds = _seeds(said)
    if seeds is None:
        complain([f'{PROGRAM} swarm: --seeds is "{said}" (first and last seed, such as 0..1999)'])
        return BAD_USAGE
    if protocol is not None and protocol not in registry.names():
        complain([f"{PROGRAM} swarm: there is no protocol {protocol!r} ({', '.join(registry.names())})"])
        return BAD_USAGE
    try:
        interrupts.release()
        failing = _play(seeds, out, protocol)
    except KeyboardInterrupt:
        interrupts.note()
        return interrupts.status()
    except crew.HandLost as error:
        complain([str(error)])
        return BROKEN
    finally:
        interrupts.hold()
    total = number(len(seeds), "seed")
    answer([f"{total}: every invariant held" if not failing else f"{total}: {failing} broke an invariant"])
    return BROKEN if failing else PASSED


def _seeds(said: str) -> range | None:
    found = _SEEDS.fullmatch(said)
    if found is None or int(found[1]) > int(found[2]):
        return None
    return range(int(found[1]), int(found[2]) + 1)


def _play(seeds: range, out: Path, protocol: str | None) -> int:
    """Play the runs and return how many failed."""
    failing = 0
    with closing(crew.play(seeds, out, os.cpu_count() or 1, protocol)) as told:
        for line in told:
            if line is not None:
                failing += 1
                complain([line])
    return failing
