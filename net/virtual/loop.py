"""The virtual-time event loop: asyncio on an integer-nanosecond clock that no hardware drives.

Time stands still while anything can run and jumps to the next timer when nothing can, so an hour of simulated
network takes as long as its callbacks. The order of events is a function of the program alone:

1. every timer due at the present instant runs, in the order in which the timers were set;
2. then everything those made ready runs, first in first out, until nothing is ready;
3. then the clock moves to the earliest timer that was not cancelled.

What real time could disturb is refused with `FenceError` (threads, sockets, signals, processes). A program
that waits for what cannot come gets a `Deadlock` that names who waits where, one that never lets time pass a
`Livelock`. Tasks hash by their order of creation, so that a TaskGroup aborts its tasks alike in every run.

Of asyncio's underscored names it needs only `_get_running_loop` and `_set_running_loop`, exported for loops.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import itertools
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from traceback import StackSummary
from typing import Any, TypeVar, TypeVarTuple, cast
from weakref import WeakKeyDictionary

from asyncagg.net.clock import IntegerTimeLoop
from asyncagg.net.durations import SECOND_NS
from asyncagg.net.virtual.errors import Deadlock as Deadlock
from asyncagg.net.virtual.errors import FenceError as FenceError
from asyncagg.net.virtual.errors import Livelock as Livelock
from asyncagg.net.virtual.errors import Unhandled as Unhandled
from asyncagg.net.virtual.errors import VirtualLoopError as VirtualLoopError
from asyncagg.net.virtual.errors import in_seconds
from asyncagg.net.virtual.refused_calls import NO_THREADS, RefusedCalls

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
ExceptionHandler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

STEP_LIMIT = 10_000_000
"""Steps at one instant after which a loop counts as stuck: 10,000 players may each say 1,000 things."""

_NEVER = 1 << 200  # a time in ns that no run reaches: where timers with an infinite delay are kept
_COMPACT_FROM = 64  # with fewer cancelled timers than this, forgetting them is not worth a pass over all
_DEBUG_ORIGIN_DEPTH = 10  # frames kept of where a coroutine was made, in debug mode, as in asyncio
_log = logging.getLogger("asyncio")


def _do_nothing(*_args: object) -> None:
    """Stand-in for a cancelled callback: does nothing."""


class _Callback(asyncio.TimerHandle):
    """Something to run, at once or at an instant: asyncio's handles in one lean class.

    It answers every public method of theirs and does not call their constructors, which set eight attributes
    through two frames: with 10,000 coroutines that sleep this loop is 40 % faster for it.
    """

    __slots__ = ("arguments", "context", "function", "loop", "queued", "when_ns")

    def __init__(
        self,
        loop: VirtualLoop,
        when_ns: int,
        function: Callable[..., object],
        arguments: tuple[Any, ...],
        context: Context | None,
    ) -> None:
        self.loop = loop
        self.when_ns = when_ns
        self.function = function
        self.arguments = arguments
        self.context = copy_context() if context is None else context
        self.queued = False  # whether it is among the loop's timers: sleep() cancels its timer after it ran

    def when(self) -> float:
        return self.when_ns / SECOND_NS

    def get_context(self) -> Context:
        return self.context

    def cancelled(self) -> bool:
        return self.function is _do_nothing

    def cancel(self) -> None:
        if self.function is not _do_nothing:
            self.function, self.arguments = _do_nothing, ()
            if self.queued:
                self.loop.timer_cancelled()

    def run(self) -> None:
        try:
            self.context.run(self.function, *self.arguments)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:  # the end of the line: the loop's handler logs it, nobody else can
            message = f"Exception in callback {self.caller()}"
            self.loop.call_exception_handler({"message": message, "exception": failure, "handle": self})

    def caller(self) -> str:
        """The name of the task that this steps, or which function it calls."""
        owner = getattr(self.function, "__self__", None)
        if isinstance(owner, asyncio.Task):
            return owner.get_name()
        return getattr(self.function, "__qualname__", None) or repr(self.function)

    def __repr__(self) -> str:
        return f"<callback {self.caller()} at {in_seconds(self.when_ns)}>"

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        return self.when() < other.when()

    def __le__(self, other: asyncio.TimerHandle) -> bool:
        return self.when() <= other.when()

    def __gt__(self, other: asyncio.TimerHandle) -> bool:
        return self.when() > other.when()

    def __ge__(self, other: asyncio.TimerHandle) -> bool:
        return self.when() >= other.when()


class Task(asyncio.Task[Any]):
    """A Task that hashes by its order of creation, where asyncio's hashes by its address in memory."""

    def __init__(self, order: int, coro: Any, **options: Any) -> None:
        self._order = order  # before the rest: Task.__init__ puts the task into a set
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._order


class VirtualLoop(RefusedCalls, IntegerTimeLoop):
    """An event loop whose clock starts at 0 ns and moves only when nothing is ready to run.

    step_limit: steps (callbacks) at one instant after which `Livelock` is raised.
    unhandled: what reached the default exception handler, in order (it is logged as well).

    Floats are exact to the nanosecond up to 26 days (2^51 ns); `call_at_ns` and `time_ns` at any time.
    A timer set for the past is due at the present instant; one with an infinite delay never is.
    """

    def __init__(self, step_limit: int = STEP_LIMIT) -> None:
        self.slow_callback_duration = 0.1
        self.unhandled: list[Unhandled] = []
        self._now = 0
        self._ready: deque[_Callback] = deque()
        self._timers: dict[int, list[_Callback]] = {}  # by instant, each list in the order of setting
        self._instants: list[int] = []  # the keys of _timers, as a heap
        self._queued = 0  # timers in _timers, and how many of them are cancelled
        self._cancelled = 0
        self._task_order = itertools.count(1)
        self._step_limit = step_limit
        self._budget = itertools.repeat(None, step_limit)  # an item for each step left at this instant
        self._stopping = False
        self._closed = False
        self._running = False
        self._thread = threading.get_ident()
        self._debug = self._guarded = _debug_wanted()  # guarded: in debug mode, or closed
        self._task_factory: Any = None
        self._exception_handler: ExceptionHandler | None = None
        # Keys of a dict and not a set: shutdown closes generators in the order in which they were started.
        self._generators: WeakKeyDictionary[AsyncGenerator[Any, Any], None] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<VirtualLoop at {in_seconds(self._now)} running={self._running} closed={self._closed}>"

    # The clock.

    def time(self) -> float:
        """Virtual time in seconds."""
        return self._now / SECOND_NS

    def time_ns(self) -> int:
        """Virtual time in nanoseconds, exact."""
        return self._now

    # Callbacks and timers.

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run `callback(*args)` at the present instant, after everything that is ready already."""
        if self._guarded:
            self._check_call(callback)
        handle = _Callback(self, self._now, callback, args, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """call_soon for callers that do not know their thread; FenceError unless it is the loop's own."""
        if threading.get_ident() != self._thread:
            raise FenceError(f"call_soon_threadsafe from another thread on the virtual loop: {NO_THREADS}")
        return self.call_soon(callback, *args, context=context)

    def call_from_outside(self, callback: Callable[[], object]) -> None:
        """Run `callback()` before whatever comes next; any thread may say so, and only to end a run.

        Appending to a deque is one step for other threads, and the loop looks at it after every callback.
        """
        self._ready.append(_Callback(self, self._now, callback, (), None))

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback(*args)` after `delay` seconds, rounded to the nanosecond."""
        return self._set_timer(self._now + _nanoseconds(delay), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback(*args)` at `when` seconds, rounded to the nanosecond."""
        return self._set_timer(_nanoseconds(when), callback, args, context)

    def call_at_ns(
        self, when_ns: int, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback(*args)` at exactly `when_ns` nanoseconds."""
        return self._set_timer(when_ns, callback, args, context)

    def _set_timer(
        self, when_ns: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        if self._guarded:
            self._check_call(callback)
        if when_ns < self._now:
            when_ns = self._now
        timer = _Callback(self, when_ns, callback, args, context)
        timer.queued = True
        self._queued += 1
        due = self._timers.get(when_ns)
        if due is None:
            self._timers[when_ns] = [timer]
            heapq.heappush(self._instants, when_ns)
        else:
            due.append(timer)
        return timer

    def timer_cancelled(self) -> None:
        """For timers: one that is still queued was cancelled. Forgets all such when they are many."""
        self._cancelled += 1
        if self._cancelled > _COMPACT_FROM and self._cancelled > self._queued // 2:
            for when_ns, due in list(self._timers.items()):
                self._timers[when_ns] = [timer for timer in due if not timer.cancelled()]
            self._timers = {when_ns: due for when_ns, due in self._timers.items() if due}
            self._instants = sorted(self._timers)  # a sorted list is a heap
            self._queued, self._cancelled = self._queued - self._cancelled, 0

    # Futures and tasks.

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """Start a coroutine as a task; without a name it is `Task-n`, the n-th that this loop has made."""
        self._check_open()
        order = next(self._task_order)
        name = name or f"Task-{order}"
        if self._task_factory is None:
            return Task(order, coro, loop=self, name=name, context=context, **options)
        if context is not None:
            options["context"] = context  # a factory need not know this keyword where nobody uses it
        task: asyncio.Task[T] = self._task_factory(self, coro, **options)
        task.set_name(name)
        return task

    def set_task_factory(self, factory: Any) -> None:
        if factory is not None and not callable(factory):
            raise TypeError(f"a task factory is a callable or None, not {factory!r}")
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        return self._task_factory

    # Running.

    def run_forever(self) -> None:
        """Run until stop(). Deadlock when nothing is left to run, Livelock when time does not pass."""
        self._check_open()
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("an event loop is running in this thread already: await, do not run another")
        with self._as_running_loop():
            while True:
                self._run_ready()
                if self._stopping:
                    break
                self._advance()
            for _ in range(len(self._ready)):
                self._ready.popleft().run()

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until `future` (or the task made of a coroutine) is done; its result or exception."""
        self._check_open()
        is_ours = not asyncio.isfuture(future)
        main: asyncio.Future[T] = asyncio.ensure_future(cast("Awaitable[T]", future), loop=self)
        main.add_done_callback(self._stop_unless_interrupted)
        try:
            self.run_forever()
        except BaseException:
            if is_ours and main.done() and not main.cancelled():
                main.exception()  # it is on its way up already: not to be reported as "never retrieved"
            raise
        finally:
            main.remove_done_callback(self._stop_unless_interrupted)
        if not main.done():
            raise RuntimeError("the loop was stopped before the awaited future was done")
        return main.result()

    def _stop_unless_interrupted(self, main: asyncio.Future[Any]) -> None:
        # An interrupt has left run_forever by itself; stop() now would end the NEXT run before its time.
        if main.cancelled() or not isinstance(main.exception(), KeyboardInterrupt | SystemExit):
            self.stop()

    def stop(self) -> None:
        """End run_forever once everything that is ready now has run."""
        self._stopping = True

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Drop all callbacks and timers; the loop cannot run again."""
        if self._running:
            raise RuntimeError("a running event loop cannot be closed: stop() it first")
        self._closed = self._guarded = True
        self._ready.clear()
        self._timers.clear()
        self._instants.clear()

    @contextmanager
    def _as_running_loop(self) -> Iterator[None]:
        hooks, depth = sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth()
        self._running, self._thread = True, threading.get_ident()
        sys.set_asyncgen_hooks(firstiter=self._generator_started, finalizer=self._generator_dropped)
        sys.set_coroutine_origin_tracking_depth(_DEBUG_ORIGIN_DEPTH if self._debug else depth)
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)
            sys.set_coroutine_origin_tracking_depth(depth)
            sys.set_asyncgen_hooks(*hooks)
            self._running = self._stopping = False

    def _run_ready(self) -> None:
        """Run callbacks until none is ready or stop() was called."""
        ready = self._ready
        run = self._run_timed if self._debug else _Callback.run
        for _ in self._budget:
            if not ready or self._stopping:
                return
            run(ready.popleft())
        self._budget = itertools.repeat(None, self._step_limit)  # so that tasks can still be cancelled
        raise Livelock(self._now, self._step_limit, [callback.caller() for callback in ready])

    def _advance(self) -> None:
        """Make the timers of the earliest instant ready, and that instant the present."""
        ready = self._ready
        while self._instants and self._instants[0] < _NEVER:
            when_ns = heapq.heappop(self._instants)
            for timer in self._timers.pop(when_ns):
                timer.queued = False
                self._queued -= 1
                if timer.cancelled():
                    self._cancelled -= 1
                else:
                    ready.append(timer)
            if ready:
                if when_ns > self._now:
                    self._now = when_ns
                    self._budget = itertools.repeat(None, self._step_limit)
                return
        raise Deadlock(self._now, asyncio.all_tasks(self))

    def _run_timed(self, callback: _Callback) -> None:
        # Debug mode looks for what holds up the host: the one place here that reads a real clock.
        began = time.perf_counter()
        callback.run()
        took = time.perf_counter() - began
        if took >= self.slow_callback_duration:
            _log.warning("Executing %r took %.3f seconds of real time", callback, took)

    # Shutting down.

    async def shutdown_asyncgens(self) -> None:
        """Close the asynchronous generators that have not ended, in the order in which they were started."""
        generators = list(self._generators)
        self._generators.clear()
        results = await asyncio.gather(*(each.aclose() for each in generators), return_exceptions=True)
        for generator, result in zip(generators, results, strict=True):
            if isinstance(result, Exception):
                message = f"an asynchronous generator failed while it was closed: {generator!r}"
                self.call_exception_handler({"message": message, "exception": result, "asyncgen": generator})

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to do: there is no executor."""

    def _generator_started(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators[generator] = None

    def _generator_dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            self.call_soon(self.create_task, generator.aclose())

    # Exceptions that nobody awaits.

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        if handler is not None and not callable(handler):
            raise TypeError(f"an exception handler is a callable or None, not {handler!r}")
        self._exception_handler = handler

    def get_exception_handler(self) -> ExceptionHandler | None:
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log the context as asyncio does and append it to `unhandled`."""
        message = context.get("message") or "Unhandled exception in event loop"
        exception: BaseException | None = context.get("exception")
        self.unhandled.append(Unhandled(self._now, message, exception))
        keys = sorted(context.keys() - {"message", "exception"})
        _log.error("\n".join([message, *(f"{key}: {_detail(context[key])}" for key in keys)]), exc_info=exception)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Hand the context to the handler that was set, to the default one if there is none or it fails."""
        if self._exception_handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._exception_handler(self, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as failure:  # the user's own handler: whatever it raises must not end the loop
            message = "Unhandled error in exception handler"
            self.default_exception_handler({"message": message, "exception": failure, "context": context})

    # Debug mode and checks.

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        """Switch asyncio's debug mode; the origins of coroutines are tracked from the next run on."""
        self._debug = enabled
        self._guarded = enabled or self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")

    def _check_call(self, callback: object) -> None:
        self._check_open()
        if threading.get_ident() != self._thread:
            raise FenceError(f"a callback was set from another thread on the virtual loop: {NO_THREADS}")
        if asyncio.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError(f"a callback is a plain function, {callback!r} is a coroutine: use create_task")


def run_virtual(main: Coroutine[Any, Any, T], step_limit: int = STEP_LIMIT) -> T:
    """Run a coroutine from 0 ns on a new VirtualLoop, as asyncio.run does on its own; the coroutine's result.

    Raises what the coroutine raises, Deadlock, Livelock; and after a result an ExceptionGroup of the
    exceptions that reached nobody, such as a callback's: no failure ends in a log alone.
    """
    loop = VirtualLoop(step_limit)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main)
    lost = [each.exception for each in loop.unhandled if each.exception is not None]
    if lost:
        raise BaseExceptionGroup("exceptions in callbacks, or in tasks that nobody awaited", lost)
    return result


def _nanoseconds(seconds: float) -> int:
    try:
        return round(seconds * SECOND_NS)
    except OverflowError:
        return _NEVER if seconds > 0 else -_NEVER


def _detail(value: object) -> str:
    """A value of an exception context; in debug mode some are stacks: where a task or future was made."""
    return "\n" + "".join(value.format()) if isinstance(value, StackSummary) else repr(value)


def _debug_wanted() -> bool:
    asked = not sys.flags.ignore_environment and bool(os.environ.get("PYTHONASYNCIODEBUG"))
    return sys.flags.dev_mode or asked
