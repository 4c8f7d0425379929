"""The virtual loop: order, time, fences, and asyncio's own constructs on it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import logging
import math
import random
import signal
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.virtual.loop import (
    Deadlock,
    FenceError,
    Livelock,
    Unhandled,
    VirtualLoop,
    VirtualLoopError,
    run_virtual,
)

SECOND = 1_000_000_000
DAYS_26 = 1 << 51
on_both_loops = pytest.mark.asyncio(loop_factories=["virtual", "real"])
on_the_real_loop = pytest.mark.asyncio(loop_factories=["real"])


def virtual() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


# Which loop a test gets (tests/conftest.py).


async def test_a_test_runs_on_the_virtual_loop() -> None:
    assert virtual().time_ns() == 0


@on_the_real_loop
async def test_a_marked_test_runs_on_the_real_loop() -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualLoop)


@on_both_loops
async def test_a_test_can_run_on_both(request: pytest.FixtureRequest) -> None:
    is_virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
    assert request.node.name.endswith("[virtual]" if is_virtual else "[real]")


# Order.


async def test_timers_of_one_instant_run_in_the_order_of_setting() -> None:
    order: list[int] = []
    for number in range(200):
        virtual().call_at_ns(SECOND, order.append, number)
    await asyncio.sleep(2)
    assert order == list(range(200))


async def test_float_and_integer_timers_of_one_instant_are_ties() -> None:
    order: list[str] = []
    virtual().call_later(1.5, order.append, "later")
    virtual().call_at_ns(1_500_000_000, order.append, "at_ns")
    virtual().call_at(1.5, order.append, "at")
    await asyncio.sleep(2)
    assert order == ["later", "at_ns", "at"]


async def test_an_instant_runs_its_timers_then_what_they_made_ready_then_its_new_timers() -> None:
    loop, order = virtual(), list[str]()

    def first() -> None:
        order.append("first")
        loop.call_later(0, order.append, "a timer for now")
        loop.call_soon(order.append, "soon")

    loop.call_at_ns(5, first)
    loop.call_at_ns(5, order.append, "second")
    loop.call_at_ns(6, order.append, "next instant")
    await asyncio.sleep(1)
    assert order == ["first", "second", "soon", "a timer for now", "next instant"]


async def test_a_timer_can_cancel_another_of_its_instant() -> None:
    loop, order = virtual(), list[str]()
    doomed: list[asyncio.TimerHandle] = []
    loop.call_at_ns(5, lambda: doomed[0].cancel())
    doomed.append(loop.call_at_ns(5, order.append, "never"))
    await asyncio.sleep(1)
    assert order == []


async def test_a_timer_set_for_the_past_is_due_now() -> None:
    await asyncio.sleep(3)
    times: list[int] = []
    for when in (-1.0, 0.0, 2.9, 3.0, -math.inf):
        virtual().call_at(when, lambda: times.append(now_ns()))
    virtual().call_later(-5, lambda: times.append(now_ns()))
    await asyncio.sleep(0.1)
    assert times == [3 * SECOND] * 6


Timers = list[tuple[int, bool]]


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=300))
def test_timers_run_like_a_sorted_list(timers: Timers) -> None:
    """Instants close together, so that there are ties; many cancelled, so that the loop compacts."""

    async def program() -> list[tuple[int, int]]:
        ran: list[tuple[int, int]] = []
        handles = [
            call_at_ns(when, lambda number=number: ran.append((now_ns(), number)))  # type: ignore[misc]
            for number, (when, _) in enumerate(timers)
        ]
        for handle, (_, cancelled) in zip(handles, timers, strict=True):
            if cancelled:
                handle.cancel()
        await asyncio.sleep(1)
        return ran

    expected = sorted((when, number) for number, (when, cancelled) in enumerate(timers) if not cancelled)
    assert run_virtual(program()) == expected


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_timers_that_set_timers_run_like_a_sorted_list(seed: int, roots: int) -> None:
    def children(parent: str) -> list[tuple[int, str]]:
        draws = random.Random(f"{seed}/{parent}")
        count = draws.randrange(3) if len(parent) < 12 else 0
        return [(draws.randrange(5), f"{parent}.{number}") for number in range(count)]

    def reference() -> list[tuple[int, str]]:
        seq, ran = 0, list[tuple[int, str]]()
        waiting = [(at % 7, at, str(at)) for at in range(roots)]
        seq = roots
        while waiting:
            waiting.sort()
            now, _, name = waiting.pop(0)
            ran.append((now, name))
            for delay, child in children(name):
                waiting.append((now + delay, seq, child))
                seq += 1
        return ran

    async def program() -> list[tuple[int, str]]:
        ran: list[tuple[int, str]] = []

        def fire(name: str) -> None:
            ran.append((now_ns(), name))
            for delay, child in children(name):
                call_at_ns(now_ns() + delay, fire, child)

        for number in range(roots):
            call_at_ns(number % 7, fire, str(number))
        await asyncio.sleep(1)
        return ran

    assert run_virtual(program()) == reference()


async def _busy_program(seed: int) -> list[tuple[int, str]]:
    """Workers that sleep, lock, queue, time out and are cancelled: everything that could reorder."""
    events: list[tuple[int, str]] = []
    lock, queue = asyncio.Lock(), asyncio.Queue[str](maxsize=3)

    async def worker(name: str) -> None:
        draws = random.Random(f"{seed}/{name}")
        for turn in range(5):
            try:
                async with asyncio.timeout(draws.choice([0.001, 0.004])), lock:
                    await asyncio.sleep(draws.choice([0, 0.001, 0.002]))
                    await queue.put(f"{name}:{turn}")
            except TimeoutError:
                events.append((now_ns(), f"{name} late"))

    async def reader() -> None:
        while True:
            events.append((now_ns(), await queue.get()))
            await asyncio.sleep(0.0005)

    reading = asyncio.create_task(reader())
    workers = [worker(f"worker-{number}") for number in range(20)]
    with pytest.raises(ExceptionGroup):
        await _in_a_group(*workers, _fail_after(0.05), _note_cancelled(events))
    reading.cancel()
    return events


async def _in_a_group(*coroutines: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for coroutine in coroutines:
            group.create_task(coroutine)


async def _fail_after(delay: float) -> None:
    await asyncio.sleep(delay)
    raise ValueError("on purpose")


async def _note_cancelled(events: list[tuple[int, str]]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        events.append((now_ns(), "cancelled"))


def test_two_runs_give_the_same_events() -> None:
    first = run_virtual(_busy_program(1))
    assert len(first) > 50
    assert run_virtual(_busy_program(1)) == first
    assert run_virtual(_busy_program(2)) != first


def test_a_task_group_aborts_in_the_same_order_in_every_run() -> None:
    async def program() -> list[int]:
        order: list[int] = []

        async def member(number: int) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                order.append(number)

        with pytest.raises(ExceptionGroup):
            await _in_a_group(*(member(number) for number in range(50)), _fail_after(1))
        return order

    orders = [run_virtual(program()) for _ in range(4)]
    assert sorted(orders[0]) == list(range(50))
    assert orders == [orders[0]] * 4


def test_tasks_are_numbered_by_their_loop() -> None:
    async def names() -> list[str]:
        tasks = [asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(0), name="own")]
        await asyncio.gather(*tasks)
        return [asyncio.current_task().get_name(), *(task.get_name() for task in tasks)]  # type: ignore[union-attr]

    assert run_virtual(names()) == run_virtual(names()) == ["Task-1", "Task-2", "own"]


# Time.


async def test_an_hour_takes_no_time() -> None:
    await asyncio.sleep(3600)
    assert now_ns() == 3600 * SECOND
    assert virtual().time() == 3600.0


async def test_a_cancelled_timer_does_not_move_the_clock() -> None:
    async with asyncio.timeout(30):
        await asyncio.sleep(0)
    late = virtual().call_later(20, print, "never")
    virtual().call_later(10, late.cancel).cancel()
    late.cancel()
    await asyncio.sleep(1)
    assert now_ns() == SECOND


def test_cancelled_timers_alone_do_not_keep_a_loop_alive(loop: VirtualLoop) -> None:
    for delay in range(10):
        loop.call_later(delay, print, "never").cancel()
    with pytest.raises(Deadlock, match=r"deadlock at 0\.000000000 s"):
        loop.run_forever()
    assert loop.time_ns() == 0


def test_many_cancelled_timers_are_forgotten_before_their_time(loop: VirtualLoop) -> None:
    handles = [loop.call_later(30 + number % 7, print, "never") for number in range(1000)]
    watched = [weakref.ref(handle) for handle in handles]
    for handle in handles:
        handle.cancel()
        handle.cancel()
    del handle, handles
    gc.collect()
    assert sum(reference() is not None for reference in watched) < 100


def test_a_timer_cancelled_after_it_ran_is_not_counted_as_queued() -> None:
    """sleep() cancels its timer each time; the many that ran must not make the loop forget one that waits."""

    async def program() -> int:
        reached = virtual().create_future()
        virtual().call_later(1000, reached.set_result, None)
        for _ in range(500):
            await asyncio.sleep(1)
        await reached
        return now_ns()

    assert run_virtual(program()) == 1000 * SECOND


@given(st.integers(0, 10**30))
def test_integer_times_are_exact_however_large(when_ns: int) -> None:
    async def program() -> tuple[int, int]:
        times: list[int] = []
        call_at_ns(when_ns, lambda: times.append(now_ns()))
        done = virtual().create_future()
        call_at_ns(when_ns + 1, done.set_result, None)
        await done
        return times[0], now_ns()

    assert run_virtual(program()) == (when_ns, when_ns + 1)


@given(st.integers(0, DAYS_26 - 1))
def test_float_times_are_exact_up_to_26_days(when_ns: int) -> None:
    async def program() -> int:
        reached = virtual().create_future()
        virtual().call_at(when_ns / SECOND, reached.set_result, None)
        await reached
        assert round(virtual().time() * SECOND) == now_ns()
        return now_ns()

    assert run_virtual(program()) == when_ns


async def test_delays_are_exact_after_a_long_time() -> None:
    reached = virtual().create_future()
    call_at_ns(10**18 + 1, reached.set_result, None)
    await reached
    await asyncio.sleep(1e-9)
    await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    assert now_ns() == 10**18 + 2 + 300_000_000


async def test_whole_seconds_are_integers_not_floats() -> None:
    await asyncio.sleep(10**10 + 1)
    assert now_ns() == (10**10 + 1) * SECOND


async def test_an_infinite_delay_never_ends() -> None:
    async with asyncio.timeout(math.inf):
        await asyncio.sleep(5)
    sleeper = asyncio.create_task(asyncio.sleep(math.inf))
    await asyncio.sleep(1e6)
    assert not sleeper.done()


def test_waiting_for_an_infinite_delay_is_a_deadlock() -> None:
    with pytest.raises(Deadlock, match="sleep"):
        run_virtual(asyncio.sleep(math.inf))


async def test_a_delay_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        virtual().call_later(math.nan, print)


@on_both_loops
async def test_the_clock_module_serves_both_loops() -> None:
    began, order = now_ns(), list[str]()
    reached: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    call_at_ns(began + 2_000, lambda: reached.set_result(now_ns()))
    call_at_ns(began + 1_000, order.append, "earlier")
    call_at_ns(began - 1, order.append, "past")
    assert await reached >= began + 1_000  # the loop's own floats may round it down a little
    assert order == ["past", "earlier"]


def test_the_clock_module_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        now_ns()


# Handles.


async def test_timer_handles_answer_what_asyncios_do() -> None:
    loop = virtual()
    early, late = loop.call_at(1.0, print), loop.call_at(2.0, print)
    assert (early.when(), late.when()) == (1.0, 2.0)
    assert early < late
    assert early <= late
    assert late > early
    assert late >= early
    assert early != loop.call_at(1.0, print)
    assert {early: "found"}[early] == "found"
    assert repr(early) == "<callback print at 1.000000000 s>"
    assert not early.cancelled()
    early.cancel()
    assert early.cancelled()


async def test_a_cancelled_callback_does_not_run() -> None:
    ran: list[str] = []
    handle = virtual().call_soon(ran.append, "never")
    assert isinstance(handle, asyncio.Handle)
    handle.cancel()
    await asyncio.sleep(0)
    assert ran == []


async def test_callbacks_run_in_the_context_they_were_given() -> None:
    value: contextvars.ContextVar[str] = contextvars.ContextVar("value", default="outside")
    seen: list[str] = []
    context = contextvars.copy_context()
    context.run(value.set, "given")
    handle = virtual().call_later(1, lambda: seen.append(value.get()), context=context)
    virtual().call_later(2, lambda: seen.append(value.get()))
    value.set("changed")
    virtual().call_soon(lambda: seen.append(value.get()))
    await asyncio.sleep(3)
    assert seen == ["changed", "given", "outside"]
    assert handle.get_context() is context  # type: ignore[attr-defined]


# Deadlock and livelock.


async def _wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_deadlock_names_who_waits_where() -> None:
    async def program() -> None:
        for number in (10, 2, 1):
            asyncio.create_task(_wait_for_ever(), name=f"data-owner-{number}")  # noqa: RUF006
        await asyncio.sleep(1.5)
        await asyncio.Queue[int]().get()

    with pytest.raises(Deadlock) as caught:
        run_virtual(program())
    assert caught.value.at_ns == 1_500_000_000
    assert caught.value.tasks == ("Task-1", "data-owner-1", "data-owner-2", "data-owner-10")
    head, first, *owners = str(caught.value).splitlines()
    assert head.startswith("deadlock at 1.500000000 s: ")
    assert "4 task(s)" in head
    assert "program (virtual/test_loop.py:" in first
    assert "Queue.get (asyncio/queues.py:" in first
    assert [line.split(":")[0].strip() for line in owners] == [
        "data-owner-1",
        "data-owner-2",
        "data-owner-10",
    ]
    assert all("_wait_for_ever" in line and "Event.wait" in line for line in owners)


def test_deadlock_text_stays_short() -> None:
    async def program() -> None:
        await asyncio.gather(*(_wait_for_ever() for _ in range(100)))

    with pytest.raises(Deadlock) as caught:
        run_virtual(program())
    assert len(caught.value.tasks) == 101
    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("and 81 more")


def test_tasks_are_cancelled_orderly_after_a_deadlock() -> None:
    times: list[int] = []

    async def program() -> None:
        try:
            await _wait_for_ever()
        finally:
            await asyncio.sleep(2)
            times.append(now_ns())

    with pytest.raises(Deadlock):
        run_virtual(program())
    assert times == [2 * SECOND]


def test_livelock_names_who_goes_on() -> None:
    async def spin() -> None:
        for _ in itertools.repeat(None):
            await asyncio.sleep(0)

    async def program() -> None:
        virtual().call_later(2, print, "never reached")
        await asyncio.sleep(1)
        spinner = asyncio.create_task(spin(), name="spinner")
        await asyncio.wait_for(spinner, 5)

    with pytest.raises(Livelock, match=r"livelock at 1\.000000000 s: 1,000 steps .* spinner") as caught:
        run_virtual(program(), step_limit=1000)
    assert (caught.value.at_ns, caught.value.callers) == (SECOND, ("spinner",))


def test_timers_for_now_are_a_livelock_too() -> None:
    async def program() -> None:
        def again() -> None:
            virtual().call_later(0, again)
            virtual().call_soon(lambda: None)

        again()
        await asyncio.sleep(1)

    with pytest.raises(Livelock):
        run_virtual(program(), step_limit=1000)


def test_steps_are_counted_for_each_instant() -> None:
    async def program() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
            await asyncio.sleep(1e-9)

    run_virtual(program(), step_limit=20)


# The fence.

Refused = Callable[[VirtualLoop], Coroutine[Any, Any, object] | object]

REFUSED: dict[str, Refused] = {
    "run_in_executor": lambda loop: loop.run_in_executor(None, print),
    "to_thread": lambda _: asyncio.to_thread(print),
    "set_default_executor": lambda loop: loop.set_default_executor(None),
    "getaddrinfo": lambda loop: loop.getaddrinfo("localhost", 80),
    "open_connection": lambda _: asyncio.open_connection("localhost", 80),
    "start_server": lambda _: asyncio.start_server(print, "localhost", 0),
    "create_datagram_endpoint": lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol),
    "add_reader": lambda loop: loop.add_reader(0, print),
    "sock_recv": lambda loop: loop.sock_recv(None, 1),
    "create_subprocess_exec": lambda _: asyncio.create_subprocess_exec("true"),
    "create_subprocess_shell": lambda _: asyncio.create_subprocess_shell("true"),
    "add_signal_handler": lambda loop: loop.add_signal_handler(signal.SIGTERM, print),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_real_time_is_refused(name: str) -> None:
    async def reach_out() -> None:
        result = REFUSED[name](virtual())
        if asyncio.iscoroutine(result):
            await result

    with pytest.raises(FenceError, match=r"on the virtual loop: .* in real time; ") as caught:
        await reach_out()
    assert isinstance(caught.value, VirtualLoopError)


def test_no_call_of_an_event_loop_is_left_unanswered() -> None:
    base = asyncio.AbstractEventLoop
    public = [name for name in dir(base) if callable(getattr(base, name)) and not name.startswith("_")]
    left = [name for name in public if getattr(VirtualLoop, name) is getattr(base, name)]
    assert len(public) > 50
    assert left == []


def _in_a_thread(call: Callable[[], object]) -> list[BaseException]:
    raised: list[BaseException] = []

    def body() -> None:
        try:
            call()
        except FenceError as failure:
            raised.append(failure)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return raised


async def test_call_soon_threadsafe_is_for_the_loops_own_thread() -> None:
    loop, ran = virtual(), list[str]()
    loop.call_soon_threadsafe(ran.append, "own thread")
    refused = _in_a_thread(lambda: loop.call_soon_threadsafe(ran.append, "other thread"))
    await asyncio.sleep(0)
    assert ran == ["own thread"]
    assert [type(failure) for failure in refused] == [FenceError]


async def test_a_coroutine_cannot_be_sent_from_another_thread() -> None:
    loop, waiting = virtual(), asyncio.sleep(0)
    refused = _in_a_thread(lambda: asyncio.run_coroutine_threadsafe(waiting, loop))
    waiting.close()
    assert [type(failure) for failure in refused] == [FenceError]


# asyncio's constructs.


async def test_timeout_ends_at_its_instant() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.25):
            await _wait_for_ever()
    assert now_ns() == 250_000_000
    async with asyncio.timeout(0.5) as scope:
        scope.reschedule(virtual().time() + 2)
        await asyncio.sleep(1)
    assert now_ns() == 1_250_000_000


async def test_wait_for_returns_or_times_out() -> None:
    assert await asyncio.wait_for(asyncio.sleep(1, "done"), 2) == "done"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(3), 2)
    assert now_ns() == 3 * SECOND


async def test_task_group_waits_for_all_and_cancels_on_failure() -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.sleep(delay, delay)) for delay in (3, 1, 2)]
    assert [task.result() for task in tasks] == [3, 1, 2]
    cancelled: list[tuple[int, str]] = []
    with pytest.raises(ExceptionGroup) as caught:
        await _in_a_group(_note_cancelled(cancelled), _fail_after(1))
    assert caught.value.subgroup(ValueError)
    assert cancelled == [(4 * SECOND, "cancelled")]
    assert now_ns() == 4 * SECOND


async def test_wait_and_as_completed() -> None:
    tasks = [asyncio.create_task(asyncio.sleep(delay, delay)) for delay in (2, 1, 3)]
    done, pending = await asyncio.wait(tasks, timeout=1.5)
    assert (len(done), len(pending)) == (1, 2)
    results = [await each for each in asyncio.as_completed(tasks)]
    assert results == [1, 2, 3]


@on_both_loops
async def test_gather_keeps_the_order_of_its_arguments() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert list(await asyncio.gather(after(3), after(1), after(2))) == [3, 1, 2]
    one, failure = await asyncio.gather(after(1), _fail_after(0), return_exceptions=True)
    assert one == 1
    assert isinstance(failure, ValueError)


@on_both_loops
async def test_shield_keeps_the_inner_task() -> None:
    release = asyncio.Event()
    inner = asyncio.create_task(release.wait())
    outer = asyncio.create_task(_shielded(inner))
    await asyncio.sleep(0)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    release.set()
    assert await inner


async def _shielded(inner: Awaitable[object]) -> None:
    await asyncio.shield(inner)


@on_both_loops
async def test_a_bounded_queue_holds_its_producer_back() -> None:
    queue, order = asyncio.Queue[int](maxsize=1), list[str]()

    async def produce() -> None:
        for item in range(3):
            await queue.put(item)
            order.append(f"put {item}")

    async def consume() -> None:
        for _ in range(3):
            order.append(f"got {await queue.get()}")
            queue.task_done()

    await asyncio.gather(produce(), consume())
    await queue.join()
    assert [entry for entry in order if entry.startswith("got")] == ["got 0", "got 1", "got 2"]
    assert order.index("put 1") > order.index("got 0") - 2


@on_both_loops
async def test_a_lock_is_fair() -> None:
    lock, order = asyncio.Lock(), list[int]()

    async def holder(number: int) -> None:
        async with lock:
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(holder(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


@on_both_loops
async def test_condition_semaphore_and_barrier() -> None:
    condition, semaphore, barrier = asyncio.Condition(), asyncio.BoundedSemaphore(2), asyncio.Barrier(4)
    most = inside = 0
    opened = False

    async def worker() -> None:
        nonlocal most, inside
        async with condition:
            await condition.wait_for(lambda: opened)
        async with semaphore:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
        await barrier.wait()

    workers = [asyncio.create_task(worker()) for _ in range(4)]
    await asyncio.sleep(0)
    async with condition:
        opened = True
        condition.notify_all()
    await asyncio.gather(*workers)
    assert most == 2


@on_both_loops
async def test_a_stream_reader_can_be_fed() -> None:
    reader = asyncio.StreamReader()
    reading = asyncio.create_task(reader.readline())
    await asyncio.sleep(0)
    reader.feed_data(b"one\ntwo and ")
    assert await reading == b"one\n"
    reader.feed_data(b"three")
    assert await reader.readexactly(3) == b"two"
    reader.feed_eof()
    assert await reader.read() == b" and three"
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.readexactly(1)


@on_both_loops
async def test_tasks_have_their_own_context() -> None:
    value: contextvars.ContextVar[int] = contextvars.ContextVar("value", default=0)

    async def change() -> int:
        value.set(value.get() + 1)
        await asyncio.sleep(0)
        return value.get()

    context = contextvars.copy_context()
    context.run(value.set, 10)
    plain, given_one = asyncio.create_task(change()), asyncio.create_task(change(), context=context)
    assert (await plain, await given_one, value.get()) == (1, 11, 0)
    assert context[value] == 11


def test_generators_left_open_are_closed_in_the_order_of_their_start() -> None:
    closed: list[int] = []
    kept: list[AsyncIterator[int]] = []

    async def numbers(name: int) -> AsyncIterator[int]:
        try:
            yield name
        finally:
            await asyncio.sleep(1)
            closed.append(name)

    async def program() -> None:
        for name in range(10):
            kept.append(numbers(name))
            await anext(kept[-1])

    run_virtual(program())
    assert closed == list(range(10))


async def test_a_generator_that_is_dropped_is_closed() -> None:
    closed: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(1)
            closed.append(now_ns())

    async for _ in numbers():
        break
    gc.collect()
    await asyncio.sleep(2)
    assert closed == [SECOND]


def test_a_generator_that_outlives_its_loop_is_left_alone() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def first() -> int:
        return await anext(kept[0])

    loop, kept = VirtualLoop(), [numbers()]
    assert loop.run_until_complete(first()) == 1
    loop.close()
    kept.clear()
    gc.collect()
    assert loop.unhandled == []


def test_a_generator_that_fails_to_close_is_reported() -> None:
    kept: list[AsyncIterator[int]] = []

    async def broken() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("while closing")

    async def program() -> None:
        kept.append(broken())
        await anext(kept[-1])

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(program())
    assert caught.value.subgroup(ValueError)


def test_a_runner_runs_several_coroutines_on_one_clock() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.sleep(1))
        left = runner.get_loop().create_task(_wait_for_ever())
        runner.run(asyncio.sleep(2))
        assert runner.get_loop().time() == 3.0
    assert left.cancelled()


def test_an_exception_of_the_coroutine_is_raised() -> None:
    with pytest.raises(ValueError, match="on purpose"):
        run_virtual(_fail_after(1))


async def _wait_shortly() -> None:
    await asyncio.sleep(1)


async def test_a_task_factory_makes_the_tasks() -> None:
    made: list[str] = []

    def factory(loop: VirtualLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        made.append(coro.cr_code.co_name)  # type: ignore[attr-defined]
        return asyncio.Task(coro, loop=loop, **options)

    virtual().set_task_factory(factory)
    assert virtual().get_task_factory() is factory
    context = contextvars.copy_context()
    assert await asyncio.create_task(asyncio.sleep(1, "result"), name="named", context=context) == "result"
    await asyncio.create_task(_wait_shortly())
    virtual().set_task_factory(None)
    assert made == ["sleep", "_wait_shortly"]
    with pytest.raises(TypeError, match="a task factory is a callable or None, not 3"):
        virtual().set_task_factory(3)


if sys.version_info >= (3, 12):

    async def test_eager_tasks_start_at_once() -> None:
        started: list[str] = []

        async def note() -> None:
            started.append("started")
            await asyncio.sleep(1)

        virtual().set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(note())
        assert started == ["started"]
        await task
        virtual().set_task_factory(None)
        await virtual().create_task(note(), eager_start=True)
        assert now_ns() == 2 * SECOND


# Exceptions that reach nobody.


def _divide() -> None:
    raise ZeroDivisionError("in a callback")


def test_an_exception_in_a_callback_is_logged_recorded_and_raised(caplog: pytest.LogCaptureFixture) -> None:
    loops: list[VirtualLoop] = []

    async def program() -> str:
        loops.append(virtual())
        virtual().call_later(1, _divide)
        await asyncio.sleep(2)
        return "goes on"

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(program())
    assert caught.value.subgroup(ZeroDivisionError)
    [unhandled] = loops[0].unhandled
    assert isinstance(unhandled, Unhandled)
    assert (unhandled.at_ns, unhandled.message) == (SECOND, "Exception in callback _divide")
    assert "ZeroDivisionError: in a callback" in caplog.text
    assert "handle: <callback _divide at 1.000000000 s>" in caplog.text


def test_a_task_that_nobody_awaits_cannot_fail_in_silence() -> None:
    async def program() -> None:
        asyncio.create_task(_fail_after(0))  # noqa: RUF006
        await asyncio.sleep(1)
        gc.collect()

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(program())
    assert caught.value.subgroup(ValueError)


async def test_an_exception_handler_gets_the_context() -> None:
    contexts: list[dict[str, Any]] = []
    previous = virtual().get_exception_handler()
    virtual().set_exception_handler(lambda loop, context: contexts.append(context))
    handle = virtual().call_soon(_divide)
    await asyncio.sleep(0)
    virtual().set_exception_handler(previous)
    assert isinstance(contexts[0]["exception"], ZeroDivisionError)
    assert contexts[0]["handle"] is handle
    assert virtual().unhandled == []
    with pytest.raises(TypeError, match="an exception handler is a callable or None, not 3"):
        virtual().set_exception_handler(3)  # type: ignore[arg-type]


async def test_a_handler_that_fails_falls_back_to_the_default_one() -> None:
    virtual().set_exception_handler(lambda loop, context: _divide())
    virtual().call_exception_handler({"message": "first"})
    virtual().set_exception_handler(None)
    virtual().call_exception_handler({"message": ""})
    assert [entry.message for entry in virtual().unhandled] == [
        "Unhandled error in exception handler",
        "Unhandled exception in event loop",
    ]


def _interrupt() -> None:
    raise KeyboardInterrupt


async def _interrupted_in_callback() -> None:
    virtual().call_soon(_interrupt)
    await asyncio.sleep(1)


async def _interrupted_in_task() -> None:
    await asyncio.sleep(1)
    raise KeyboardInterrupt


async def _interrupted_in_handler() -> None:
    virtual().set_exception_handler(lambda loop, context: _interrupt())
    virtual().call_soon(_divide)
    await asyncio.sleep(1)


async def _interrupted_by_signal() -> None:
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(1)


@pytest.mark.parametrize(
    "program",
    [_interrupted_in_callback, _interrupted_in_task, _interrupted_in_handler, _interrupted_by_signal],
)
def test_an_interrupt_passes(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_virtual(program())


def test_a_loop_can_be_used_after_an_interrupt(loop: VirtualLoop) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(_interrupted_in_task())
    assert loop.run_until_complete(asyncio.sleep(1, "after")) == "after"
    assert loop.time_ns() == 2 * SECOND


# Starting and stopping.


def test_stop_runs_what_is_ready_and_keeps_the_rest(loop: VirtualLoop) -> None:
    order: list[str] = []

    def halt() -> None:
        loop.stop()
        loop.call_soon(lambda: loop.call_soon(order.append, "next run"))

    loop.call_soon(halt)
    loop.call_soon(order.append, "ready")
    loop.call_later(1, order.append, "a timer")
    loop.run_forever()
    assert order == ["ready"]
    loop.call_later(2, loop.stop)
    loop.run_forever()
    assert order == ["ready", "next run", "a timer"]


def test_a_loop_stopped_before_it_runs_makes_one_round(loop: VirtualLoop) -> None:
    order: list[str] = []
    loop.call_soon(order.append, "ready")
    loop.call_later(1, order.append, "a timer")
    loop.stop()
    loop.run_forever()
    assert (order, loop.time_ns()) == (["ready"], 0)


def test_a_future_that_is_not_reached_is_an_error(loop: VirtualLoop) -> None:
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="stopped before the awaited future was done"):
        loop.run_until_complete(loop.create_future())


async def test_loops_do_not_nest() -> None:
    other = VirtualLoop()
    for loop in (other, virtual()):
        with pytest.raises(RuntimeError, match="running in this thread already"):
            loop.run_forever()
    other.close()
    with pytest.raises(RuntimeError, match="cannot be closed"):
        virtual().close()


def test_a_closed_loop_refuses_everything() -> None:
    loop = VirtualLoop()
    assert (loop.is_closed(), loop.is_running()) == (False, False)
    loop.close()
    loop.close()
    waiting = asyncio.sleep(0)
    calls: list[Callable[[], object]] = [
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.call_at_ns(1, print),
        lambda: loop.create_task(waiting),
        lambda: loop.run_until_complete(waiting),
        loop.run_forever,
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call()
    waiting.close()
    assert repr(loop) == "<VirtualLoop at 0.000000000 s running=False closed=True>"


# Debug mode.


@pytest.fixture
def debug_loop(loop: VirtualLoop) -> VirtualLoop:
    loop.set_debug(True)
    return loop


def test_debug_mode_names_slow_callbacks(debug_loop: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        await asyncio.sleep(1)

    debug_loop.run_until_complete(program())
    assert "Executing" not in caplog.text
    debug_loop.slow_callback_duration = 0.0
    with caplog.at_level(logging.WARNING, "asyncio"):
        debug_loop.run_until_complete(program())
    assert "Executing <callback Task-2 at 1.000000000 s> took 0.0" in caplog.text


def test_debug_mode_refuses_coroutines_as_callbacks(debug_loop: VirtualLoop) -> None:
    waiting = asyncio.sleep(0)
    wrong: list[Any] = [waiting, _wait_for_ever]
    for callback in wrong:
        with pytest.raises(TypeError, match="a callback is a plain function"):
            debug_loop.call_soon(callback)
        with pytest.raises(TypeError, match="a callback is a plain function"):
            debug_loop.call_later(1, callback)
    waiting.close()


def test_debug_mode_refuses_callbacks_from_other_threads(debug_loop: VirtualLoop) -> None:
    refused = _in_a_thread(lambda: debug_loop.call_soon(print))
    assert [type(failure) for failure in refused] == [FenceError]


def test_debug_mode_shows_where_a_lost_task_was_made(debug_loop: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        asyncio.create_task(_fail_after(0))  # noqa: RUF006
        await asyncio.sleep(1)
        gc.collect()

    debug_loop.run_until_complete(program())
    assert "source_traceback: \n" in caplog.text
    assert "in program" in caplog.text
    assert [type(entry.exception) for entry in debug_loop.unhandled] == [ValueError]


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("", False)])
def test_debug_mode_follows_the_environment(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("PYTHONASYNCIODEBUG", value)
    loop = VirtualLoop()
    assert loop.get_debug() is (expected or sys.flags.dev_mode)
    loop.close()
