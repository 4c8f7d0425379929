"""A run that is no longer waited for ends, on every engine, and leaves no thread, process or socket behind."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import IN_TIME
from support.runs import DIMENSION, Arrays, Nothing, Vector, scenario

import asyncagg
from asyncagg.run_thread import AGAIN_AFTER, END_AFTER, RunThread

real = pytest.mark.asyncio(loop_factories=["real"])
engines = pytest.mark.parametrize("engine", ["sim", "tcp", "processes"])

ENDLESS = 100_000
"""Rounds that no test lives to see the end of."""
OWN_CODE = """
import os, pathlib
import numpy as np
import asyncagg

class Owner(asyncagg.DataOwner):
    def __init__(self, told):
        self.told = pathlib.Path(told)

    def compute_gradient(self, parameters, round):
        self.told.touch()
        return {"w": np.ones(4)}, 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(4)}

    def apply(self, parameters, mean):
        return parameters
"""


def left() -> dict[str, list[str]]:
    """What a run may leave in this process: threads, children, sockets."""
    threads = [each.name for each in threading.enumerate() if each.name.startswith("asyncagg")]
    children, sockets = [], []
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since: a pool's, or another's
            children += task.read_text().split()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one by which the folder is read
            sockets += [each.name] if os.readlink(each).startswith("socket:") else []
    return {"threads": sorted(threads), "children": sorted(children), "sockets": sorted(sockets)}


@pytest.fixture
def own_code(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> tuple[dict[str, Any], Path]:
    """A scenario without an end, and the file by which its first gradient shows."""
    module = f"{request.function.__name__}_{engine}"  # one name is imported once in a process
    (tmp_path / f"{module}.py").write_text(OWN_CODE)
    told = tmp_path / "told"
    workload = {
        "kind": "python",
        "owner": f"{module}:Owner",
        "model_owner": f"{module}:Model",
        "path": str(tmp_path),
        "options": {"told": str(told)},
    }
    return {"name": "endless", "engine": engine, "rounds": ENDLESS, "workload": workload, "check": False}, told


def test_nobody_waits_longer_than_two_seconds_for_a_run_that_was_stopped() -> None:
    assert sum(AGAIN_AFTER) < END_AFTER < 2


def until(it_holds: Callable[[], bool]) -> None:
    while not it_holds():
        time.sleep(0.01)


@real
@engines
async def test_a_run_that_is_cancelled_ends_and_leaves_nothing(own_code: tuple[dict[str, Any], Path]) -> None:
    endless, told = own_code
    before = left()
    running = asyncio.create_task(asyncagg.run_async(endless))
    await asyncio.to_thread(until, told.exists)
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < IN_TIME
    assert left() == before


@real
@engines
async def test_a_time_out_ends_a_run(engine: str) -> None:
    before = left()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncagg.run_async(scenario("secagg", engine=engine, rounds=ENDLESS)), 0.5)
    assert time.monotonic() - began < IN_TIME
    assert left() == before


@real
@engines
async def test_an_interrupted_cell_ends_its_run(own_code: tuple[dict[str, Any], Path]) -> None:
    endless, told = own_code
    asyncios = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a notebook's kernel
    before = left()

    def interrupt() -> None:
        until(told.exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncagg.run(endless)
    finally:
        signal.signal(signal.SIGINT, asyncios)
    assert left() == before


class Busy(Vector):
    """Computes for ever, in Python."""

    def __init__(self) -> None:
        super().__init__(np.zeros(DIMENSION))
        self.began = threading.Event()

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        self.began.set()
        while True:
            pass


class Waiting(Busy):
    """Waits in a call that notices nothing, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.enough = threading.Event()

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        self.began.set()
        self.enough.wait()
        return super(Busy, self).compute_gradient(parameters, round)


async def cancelled(owner: Busy) -> None:
    """Cancel a run in the middle of this owner's gradient."""
    owners = [owner, *(Vector(np.zeros(DIMENSION)) for _ in range(3))]
    running = asyncio.create_task(
        asyncagg.run_async(scenario("plain", engine="sim"), owners=owners, model_owner=Nothing())
    )
    await asyncio.to_thread(owner.began.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@real
async def test_a_gradient_that_computes_for_ever_is_interrupted() -> None:
    await cancelled(Busy())
    assert left()["threads"] == []


@real
async def test_a_call_that_notices_nothing_is_left_with_a_word() -> None:
    owner = Waiting()
    with pytest.warns(RuntimeWarning, match=r"^the run was told to stop, and goes on until a call that it is in"):
        await cancelled(owner)
    assert left()["threads"] == ["asyncagg-run"]
    owner.enough.set()
    until(lambda: left()["threads"] == [])  # it ends when the call returns


@real
async def test_an_order_before_the_run_begins_keeps_it_from_beginning() -> None:
    first, began = threading.Event(), []

    def work(order: Any) -> None:
        first.wait()

        async def play() -> None:
            began.append(True)
            await asyncio.sleep(3600)

        asyncio.run(order.heed(play()))

    running = asyncio.create_task(RunThread(work).outcome())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.sleep(0)
    first.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert left()["threads"] == []
