"""The other end of a connection, by hand: says what a test wants said, honest or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
from support.channels import RUN

from asyncagg.net.frames import PREFIX, Frame, pack_frame, parse_header
from asyncagg.net.tcp.hello import HELLO, OPEN, OPENED, WELCOME


class RawPeer:
    """A bare connection: `write` any bytes, `say` any frame, `hear` the frames that come back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def say(self, kind: str, body: Any = None, sender: str = "owner-0", receiver: str = "node-0") -> None:
        packed = b"" if body is None else msgpack.packb(body)
        self.write(pack_frame(Frame(sender, receiver, kind, packed)))

    def hello(self, **changes: Any) -> None:
        """Say hello as `owner-0` would, but for these fields."""
        self.say(HELLO, {"version": 0, "run": RUN, "players": ["owner-0"], "facts": {}} | changes)

    async def join(self, players: list[str] | None = None) -> None:
        """Be let in, and open a channel for each player."""
        players = players or ["owner-0"]
        self.hello(players=players)
        assert (await self.hear()).kind == WELCOME
        for number, player in enumerate(players):
            self.say(OPEN, [number], sender=player)
            assert (await self.hear()).kind == OPENED

    async def hear(self) -> Frame:
        """The next frame; asyncio.IncompleteReadError or ConnectionResetError when there is none."""
        async with asyncio.timeout(10):
            _, length = PREFIX.unpack(await self.reader.readexactly(PREFIX.size))
            header = parse_header(await self.reader.readexactly(length))
            body = await self.reader.readexactly(header.body)
            payload = await self.reader.readexactly(header.payload)
        return Frame(header.sender, header.receiver, header.kind, body, payload)

    async def hear_reason(self) -> str:
        """The reason in the next frame, which must be the last."""
        reason = msgpack.unpackb((await self.hear()).body)[-1]
        assert await self.is_closed()
        return str(reason)

    async def is_closed(self) -> bool:
        """Whether nothing more comes before the end of the stream."""
        try:
            async with asyncio.timeout(10):
                return not await self.reader.read(1)
        except ConnectionResetError:
            return True


@asynccontextmanager
async def raw_peer(address: tuple[str, int]) -> AsyncIterator[RawPeer]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
