"""The order that ends a run: heard once, and whoever has heard it is left to close."""

import asyncio
from typing import Any

import pytest

from asyncagg.engines.runtime.stop_order import StopOrder
from asyncagg.net.virtual.loop import run_virtual

LOOPS = pytest.mark.parametrize("run", [asyncio.run, run_virtual])


@LOOPS
def test_a_run_that_has_heard_is_not_interrupted_while_it_closes(run: Any) -> None:
    order, seen = StopOrder(), []

    async def play() -> None:
        order.give()
        order.insist(lambda: seen.append("interrupted: nothing was heard yet"))
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("closing")
            order.insist(lambda: seen.append("interrupted: in the middle of closing"))
            await asyncio.sleep(0)
            seen.append("closed")

    with pytest.raises(asyncio.CancelledError):
        run(order.heed(play()))
    assert seen == ["interrupted: nothing was heard yet", "closing", "closed"]


@LOOPS
def test_an_order_that_was_given_before_is_heard_at_once(run: Any) -> None:
    order, begun = StopOrder(), []
    order.give()

    async def play() -> None:
        begun.append(True)
        await asyncio.sleep(3600)

    with pytest.raises(asyncio.CancelledError):
        run(order.heed(play()))
    order.insist(lambda: begun.append("interrupted"))
    assert begun == [True]
