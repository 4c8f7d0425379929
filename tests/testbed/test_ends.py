"""However a testbed ends, nothing of it stays: an exception, a network that cannot be built, a maker that is killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.testbed import BedError, Testbed, fabrics, iproute

ROOT = Path(__file__).resolve().parents[2]
PAIR = ("near", "far")


def test_an_exception_ends_everything_within() -> None:
    started = []

    def fail_within() -> None:
        with Testbed(PAIR) as bed:
            started.append(bed.popen("near", ["sleep", "1000"]))
            started.append(bed.popen("far", ["sh", "-c", "sleep 1000 & exec sleep 1000"]))
            raise KeyError

    with pytest.raises(KeyError):
        fail_within()
    assert [process.returncode for process in started] == [-signal.SIGKILL, -signal.SIGKILL]


def test_what_cannot_be_built_is_taken_down_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object, **given: object) -> None:
        raise BedError("a cable is broken")

    monkeypatch.setattr(fabrics, "attendant", fail)
    with pytest.raises(BedError, match="a cable is broken"), Testbed(PAIR, kind="wire"):
        pass


HOLD = """
import json, sys, time
from benchmarks.testbed import Testbed
with Testbed(["near", "far"]) as bed:
    sleeper = bed.popen("near", ["sleep", "1000"])
    print(json.dumps([[bed.namespace(host) for host in bed.hosts], sleeper.pid]), flush=True)
    time.sleep(1000)
"""


KEEP = """
import json, time
from benchmarks.testbed.attendant import attendant
from benchmarks.testbed.wire import Link, Order
with attendant("wire", Order({}, Link(), None).to_json()) as wire:
    print(json.dumps([[], wire.pid]), flush=True)
    time.sleep(1000)
"""


def held_until_killed(program: str) -> tuple[list[str], int]:
    """What a program that was then killed had made: namespaces, and the id of a process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as maker:
        namespaces, pid = json.loads(maker.stdout.readline())
        assert set(namespaces) <= set(iproute.names())
        assert iproute.lives(pid)
        maker.kill()
    return namespaces, pid


def test_the_wire_ends_when_its_maker_is_killed() -> None:
    _, wire = held_until_killed(KEEP)
    try:
        handle = os.pidfd_open(wire)
    except ProcessLookupError:  # has ended already
        return
    try:
        assert select.select([handle], [], [], 10)[0]
    finally:
        os.close(handle)


def test_the_next_testbed_sweeps_up_after_a_killed_one() -> None:
    namespaces, sleeper = held_until_killed(HOLD)
    with Testbed(["a"]):
        assert not set(namespaces) & set(iproute.names())
    assert not iproute.lives(sleeper)
