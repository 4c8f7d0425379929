"""The event loop of asynchronous tests, and the settings of property tests.

Which loop a test runs on
    async def test_x(): …                                       the virtual loop; virtual time starts at 0
    @pytest.mark.asyncio(loop_factories=["real"])               asyncio's own loop: real sockets, real time
    @pytest.mark.asyncio(loop_factories=["uvloop"])             uvloop: the same, faster
    @pytest.mark.asyncio(loop_factories=["virtual", "real"])    both, as test_x[virtual] and test_x[real]
With one loop the name of a test stays as it is. `pytestmark = pytest.mark.asyncio(…)` does the same for a
module, a class takes the mark as well; the nearest mark counts alone (one on a test hides all of a module's).
A module with such a `pytestmark` holds asynchronous tests only: on a plain `def test_…` pytest-asyncio warns
of the mark, and a warning is an error here. Where both kinds live together, name the mark
(`real = pytest.mark.asyncio(…)`) and decorate with it. Asynchronous fixtures run on the loop of the test that
asks for them; asked for by a plain test they run on asyncio's own loop.

What a test must not do
    Wait for real time.
    Be a coroutine under `@given`: the examples of one test would share a loop and a clock. Keep a property
    test plain and call `run_virtual(coroutine)` in it, which makes a new loop each time.
    Lose an exception: one that reaches a loop's exception handler (a failed callback, a task that nobody
    awaited) fails the test, unless the test has set a handler of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import uvloop

from asyncagg.net.virtual.loop import VirtualLoop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.load_profile("ci")

_lost: list[str] = []


def _note_lost(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _lost.append(f"{context.get('message')}: {context.get('exception')!r}")
    loop.default_exception_handler(context)


def _watched(make: LoopFactory) -> LoopFactory:
    def factory() -> asyncio.AbstractEventLoop:
        loop = make()
        loop.set_exception_handler(_note_lost)
        return loop

    return factory


LOOPS: dict[str, LoopFactory] = {
    "virtual": _watched(VirtualLoop),
    "real": _watched(asyncio.new_event_loop),
    "uvloop": _watched(uvloop.new_event_loop),
}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    """The loops to choose from: all for a test whose mark names some, the virtual one for every other."""
    mark = item.get_closest_marker("asyncio")
    chosen = mark.kwargs.get("loop_factories") if mark else None
    if chosen is None:
        return {"virtual": LOOPS["virtual"]}
    unknown = sorted(set(chosen) - LOOPS.keys())
    if unknown:  # pytest-asyncio would skip the test and stay green
        known = ", ".join(LOOPS)
        pytest.fail(f"{item.nodeid}: no loop named {', '.join(unknown)} (there are: {known})", pytrace=False)
    return LOOPS


@pytest.fixture(autouse=True)
def no_exception_is_lost() -> Iterator[None]:
    """Fail a test in which an exception reached only a loop's handler."""
    yield
    lost, _lost[:] = list(_lost), []
    if lost:
        pytest.fail("exceptions that nobody handled:\n" + "\n".join(lost), pytrace=False)
