"""Threads of real engines: a gradient that hangs is its owner's trouble, and nobody else's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.cli import ROOT
from support.runs import DIMENSION, Nothing, Vector, scenario

import asyncagg
from asyncagg.engines.runtime import executors
from asyncagg.engines.runtime.executors import ThreadExecutor
from asyncagg.protocols.effects import Cost

GRADIENT, MASK = Cost(gradients=1), Cost(keystream_bytes=1 << 30)
LIMIT_S = 20.0
real = pytest.mark.asyncio(loop_factories=["real"])


def untold(began_ns: int, ended_ns: int) -> None:
    """Nobody asks when the work was done."""


class Gate:
    """Work that hangs until it is let go."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.began = threading.Semaphore(0)
        self.inside = self.most = self.calls = 0

    def work(self) -> int:
        with self._lock:
            self.calls += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.began.release()
        assert self._open.wait(LIMIT_S)
        with self._lock:
            self.inside -= 1
        return self.calls

    def let_go(self) -> None:
        self._open.set()


HANGS = """
import asyncio, threading
from asyncagg.engines.runtime.executors import ThreadExecutor
from asyncagg.protocols.effects import Cost

async def main():
    executor, began = ThreadExecutor(), threading.Event()
    hung = asyncio.create_task(executor.run(Cost(gradients=1), lambda: (began.set(), threading.Event().wait()), print))
    await asyncio.to_thread(began.wait)
    executor.close()
    await asyncio.gather(hung, return_exceptions=True)
    print("over", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.let_go()


@pytest.fixture
def executor() -> Iterator[ThreadExecutor]:
    made = ThreadExecutor()
    yield made
    made.close()


async def begun(gate: Gate, calls: int) -> None:
    """Return once so many calls have begun."""
    for _ in range(calls):
        assert await asyncio.to_thread(gate.began.acquire, timeout=LIMIT_S)


@real
async def test_gradients_that_hang_keep_neither_the_protocol_nor_other_gradients_waiting(
    executor: ThreadExecutor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "PATIENCE_NS", 1_000_000)
    hung = [asyncio.create_task(executor.run(GRADIENT, gate.work, untold)) for _ in range(5)]
    await begun(gate, 5)
    async with asyncio.timeout(LIMIT_S):
        assert await executor.run(MASK, lambda: "mask", untold) == "mask"
        assert await executor.run(GRADIENT, lambda: "gradient", untold) == "gradient"
    gate.let_go()
    assert await asyncio.gather(*hung) == [5] * 5


@real
async def test_gradients_take_turns_while_none_takes_long(
    executor: ThreadExecutor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "PATIENCE_NS", 3600 * 10**9)
    every = [asyncio.create_task(executor.run(GRADIENT, gate.work, untold)) for _ in range(7)]
    await begun(gate, executors.THREADS)
    gate.let_go()
    await asyncio.gather(*every)
    assert (gate.calls, gate.most) == (7, executors.THREADS)


@real
async def test_an_owners_gradients_never_run_twice_at_once(executor: ThreadExecutor, gate: Gate) -> None:
    """A retry begins once the former attempt's call has returned; one that was given up meanwhile never does."""
    mine, other = executor.of_one(), executor.of_one()
    first = asyncio.create_task(mine.run(GRADIENT, gate.work, untold))
    await begun(gate, 1)
    first.cancel()
    second = asyncio.create_task(mine.run(GRADIENT, gate.work, untold))
    third = asyncio.create_task(mine.run(GRADIENT, gate.work, untold))
    async with asyncio.timeout(LIMIT_S):
        assert await other.run(GRADIENT, lambda: "another owner's", untold) == "another owner's"
        assert await mine.run(MASK, lambda: "mask", untold) == "mask"
    second.cancel()
    assert (gate.calls, gate.most) == (1, 1)
    gate.let_go()
    assert await third == 2
    assert (gate.calls, gate.most) == (2, 1)
    assert [
        isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(first, second, return_exceptions=True)
    ] == [True, True]


@real
async def test_what_a_gradient_raises_reaches_who_waits_for_it_and_ends_its_turn(executor: ThreadExecutor) -> None:
    mine = executor.of_one()
    for _ in range(2 * executors.THREADS):
        with pytest.raises(ZeroDivisionError):
            await mine.run(GRADIENT, lambda: 1 // 0, untold)
    abandoned = asyncio.create_task(mine.run(GRADIENT, lambda: 1 // 0, untold))
    await asyncio.sleep(0)
    abandoned.cancel()
    assert await mine.run(GRADIENT, lambda: "well", untold) == "well"


@real
async def test_a_closed_bench_waits_for_nobody(gate: Gate) -> None:
    executor = ThreadExecutor()
    running = [asyncio.create_task(executor.run(GRADIENT, gate.work, untold)) for _ in range(executors.THREADS + 1)]
    await begun(gate, executors.THREADS)
    executor.close()
    running.pop().cancel()
    told = await asyncio.gather(*running, return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError] * executors.THREADS
    assert gate.calls == executors.THREADS


@real
async def test_there_is_room_for_so_many_that_hang_and_no_more(
    executor: ThreadExecutor, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "PATIENCE_NS", 1_000_000)
    every = [
        asyncio.create_task(executor.run(GRADIENT, gate.work, untold)) for _ in range(executors.MOST_GRADIENTS + 3)
    ]
    await begun(gate, executors.MOST_GRADIENTS)
    every.pop().cancel()
    await asyncio.sleep(0.1)
    assert gate.calls == executors.MOST_GRADIENTS
    gate.let_go()
    await asyncio.gather(*every)
    assert (gate.calls, gate.most) == (executors.MOST_GRADIENTS + 2, executors.MOST_GRADIENTS)


def test_a_process_ends_although_a_gradient_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("over\n", "")


def test_owners_that_hang_are_dropped_and_the_others_go_on(gate: Gate) -> None:
    class Hangs(Vector):
        def compute_gradient(self, parameters: Any, round: int) -> Any:
            gate.work()
            return super().compute_gradient(parameters, round)

    owners = [(Hangs if index < 3 else Vector)(np.full(DIMENSION, 0.1 * index)) for index in range(10)]
    phases = {"publish": {"deadline": "1500 ms"}}
    tables = scenario("secagg+", 10, "tcp", phases=phases, aggregation={"minimum_cohort": 5, "dropout": 0.4})
    result = asyncagg.run(tables, owners=owners, model_owner=Nothing())
    (each,) = result["rounds"]
    assert each["dropped"] == {f"data-owner-{index}": "publish" for index in range(3)}
    assert (each["status"], each["exact"], len(each["survivors"])) == ("ok", True, 7)
