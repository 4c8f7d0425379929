"""How a connection ends: with a bound, and whatever the other side has done meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest
from support.channels import LIMITS, RUN, SECOND, Listener
from support.raw_peer import raw_peer

from asyncagg.net.clock import now_ns
from asyncagg.net.errors import FrameError
from asyncagg.net.frames import Frame, FrameRules
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.buffers import BufferPool
from asyncagg.net.tcp.connection import Connection
from asyncagg.net.tcp.hello import PING
from asyncagg.net.tcp.network import Addresses, TcpNetwork
from asyncagg.net.tcp.session import TcpChannel


class Slow(asyncio.Transport):
    """A transport to a peer that takes a byte a second, however much there is."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__()
        self.protocol = protocol
        self.began_ns = now_ns()
        self.given = 0
        self.ended_ns: int | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (1, 0)

    def get_write_buffer_size(self) -> int:
        return max(0, self.given - (now_ns() - self.began_ns) // SECOND)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.given += len(data)
        self.protocol.pause_writing()

    def is_closing(self) -> bool:
        return self.ended_ns is not None

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def abort(self) -> None:
        assert self.ended_ns is None
        self.ended_ns = now_ns()
        self.protocol.connection_lost(None)


class Bare(Connection):
    """A connection of nobody."""

    def made(self) -> None: ...

    def arrived(self, frame: Frame) -> None: ...

    def note_refusal(self, error: FrameError) -> None: ...

    def control(self, kind: str, body: bytes = b"") -> None:
        assert kind == PING
        self.send_queue.put(b"ping")

    def ended(self, reason: str) -> None: ...


def connected() -> tuple[Bare, Slow]:
    connection = Bare(TcpOptions(), BufferPool(), FrameRules(LIMITS, frozenset(["owner-0"]), ("node-0",)))
    transport = Slow(connection)
    connection.connection_made(transport)
    return connection, transport


@pytest.mark.parametrize("lingers", [True, False])
async def test_a_peer_that_lives_and_takes_a_byte_now_and_then_is_not_waited_for(lingers: bool) -> None:
    connection, transport = connected()
    connection.lingers = lingers
    connection.send_queue.put(bytes(1000), bytes(1 << 20))
    connection.finish("closed")
    for _ in range(100):
        await asyncio.sleep(1)
        connection.get_buffer(-1)[:1] = b"\x00"
        connection.buffer_updated(1)  # it says something, and whatever it says is discarded
        if connection.lost.done():
            break
    assert transport.ended_ns == transport.began_ns + TcpOptions().stall_ns


async def test_a_peer_that_has_reset_the_connection_is_no_error() -> None:
    """The system says that there is no connection; a moment later we read that it was reset."""
    connection, transport = connected()
    connection.lingers = True
    connection.finish("closed")
    await connection.lost
    assert transport.ended_ns == transport.began_ns + TcpOptions().linger_ns


@pytest.mark.asyncio(loop_factories=["real", "uvloop"])
async def test_closing_while_a_reset_is_on_its_way() -> None:
    addresses: Addresses = {"node-0": ("127.0.0.1", 0)}
    listening = TcpNetwork(["node-0"], RUN, LIMITS, addresses)

    listener = Listener()
    await listening.listen("node-0", listener.accept)
    async with raw_peer(addresses["node-0"]) as peer:
        await peer.join()
        option = (1).to_bytes(4, "little") + bytes(4)  # linger 0: close with a reset
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        peer.writer.transport.abort()  # in a moment, and in the same one we close
        channel = listener.channels["owner-0"]
        assert isinstance(channel, TcpChannel)
        assert channel.session is not None
        channel.session.close_all("the end")
        async with asyncio.timeout(5):
            await listening.close()
