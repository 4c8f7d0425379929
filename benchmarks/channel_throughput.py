"""How fast channels are: large and small frames over loopback TCP, small frames in memory.

The sender is a process of its own. A figure and what it is compared with are measured in turns, and the
median of the ratios is kept, so that it does not depend on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable

from asyncagg.net.frames import Frame, Limits
from asyncagg.net.memory import MemoryNetwork
from asyncagg.net.tcp.buffers import release
from asyncagg.net.tcp.network import TcpNetwork
from benchmarks.table import Row

PAYLOAD = 4 << 20
LARGE_FRAMES = 256
SMALL_FRAMES = 100_000
BURST = 1000
ROUNDS = 5
NOTE = b"twelve bytes"
LIMITS = Limits({"vector": (64, PAYLOAD), "note": (64, 0)})
RUN = b"benchmark"


class Counter:
    """A sink that gives memory back, and knows the seconds from its first frame to its last."""

    def __init__(self, frames: int) -> None:
        self._left = frames
        self._started = 0.0
        self.seconds: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def deliver(self, frame: Frame) -> None:
        self._started = self._started or time.perf_counter()
        release(frame.payload)
        self._left -= 1
        if not self._left:
            self.seconds.set_result(time.perf_counter() - self._started)

    def gone(self, peer: str, reason: str) -> None:
        if not self.seconds.done():
            self.seconds.set_exception(RuntimeError(f"{peer}: {reason}"))


class Ending:
    """A sink that waits for the end."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    def deliver(self, frame: Frame) -> None:
        raise RuntimeError(f"unexpected {frame}")

    def gone(self, peer: str, reason: str) -> None:
        self.reached.set()


def main() -> list[Row]:
    """Measure channels, and what they stand on."""
    return [_large(), _small(), _in_memory()]


def _large() -> Row:
    seconds, ratio = _compare(lambda: framed_seconds("vector", LARGE_FRAMES, PAYLOAD), raw_seconds)
    rate = LARGE_FRAMES * PAYLOAD / seconds / 1e9
    return Row("4 MiB frames over loopback TCP", rate, "GB/s", ratio, "bare recv_into", 0.8 * rate / ratio)


def _small() -> Row:
    seconds, ratio = _compare(lambda: framed_seconds("note", SMALL_FRAMES, 0), streams_seconds)
    return Row("small frames over loopback TCP", SMALL_FRAMES / seconds, "frames/s", ratio, "asyncio streams")


def _in_memory() -> Row:
    seconds, ratio = _compare(memory_seconds, call_soon_seconds)
    return Row("small frames in memory", SMALL_FRAMES / seconds, "frames/s", ratio, "bare call_soon", 250_000)


def _compare(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    """Seconds that ours takes, and how many times as fast it is as theirs."""
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    return statistics.median(mine for mine, _ in pairs), statistics.median(other / mine for mine, other in pairs)


# --- over TCP


def framed_seconds(kind: str, frames: int, payload: int) -> float:
    """Seconds in which a channel over TCP delivers `frames` frames after a first one."""

    async def receive() -> float:
        addresses = {"receiver": ("127.0.0.1", 0)}
        network = TcpNetwork(["receiver"], RUN, LIMITS, addresses)
        counter = Counter(frames + 1)
        await network.listen("receiver", lambda channel: counter)
        sender = _start(_send_frames, addresses["receiver"][1], kind, frames + 1, payload)
        seconds = await counter.seconds
        await network.close()
        sender.join()
        return seconds

    return asyncio.run(receive())


def raw_seconds() -> float:
    """Seconds in which a bare socket receives the large payloads into one buffer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = _start(_send_raw, server.getsockname()[1])
        connection, _ = server.accept()
        view = memoryview(bytearray(PAYLOAD))
        with connection:
            connection.recv_into(view, 1)
            started = time.perf_counter()
            for _ in range(LARGE_FRAMES):
                filled = 0
                while filled < PAYLOAD:
                    filled += connection.recv_into(view[filled:])
            seconds = time.perf_counter() - started
    sender.join()
    return seconds


def streams_seconds() -> float:
    """Seconds in which an asyncio stream reads as many messages of the same size, each behind its length."""

    async def receive() -> float:
        done = asyncio.get_running_loop().create_future()

        async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            started = 0.0
            for _ in range(SMALL_FRAMES + 1):
                await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                started = started or time.perf_counter()
            done.set_result(time.perf_counter() - started)
            writer.close()

        server = await asyncio.start_server(read, "127.0.0.1", 0)
        sender = _start(_send_messages, server.sockets[0].getsockname()[1])
        seconds: float = await done
        server.close()
        sender.join()
        return seconds

    return asyncio.run(receive())


def _start(target: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    return process


def _send_frames(port: int, kind: str, frames: int, payload: int) -> None:
    async def send() -> None:
        network = TcpNetwork(["sender"], RUN, LIMITS, {"receiver": ("127.0.0.1", port)})
        ending, data = Ending(), bytes(payload)
        channel = await network.dial("sender", "receiver", ending)
        for sent in range(frames):
            channel.send(kind, NOTE, data)
            if sent % BURST == 0:
                await asyncio.sleep(0)
        await ending.reached.wait()
        await network.close()

    asyncio.run(send())


def _send_raw(port: int) -> None:
    payload = bytes(PAYLOAD)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"!")
        for _ in range(LARGE_FRAMES):
            connection.sendall(payload)


def _send_messages(port: int) -> None:
    size = Frame("sender", "receiver", "note", NOTE).size
    message = (size - 4).to_bytes(4, "big") + bytes(size - 4)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(message)
        for _ in range(SMALL_FRAMES // BURST):
            connection.sendall(message * BURST)


# --- in memory


def memory_seconds() -> float:
    """Seconds in which a channel in memory delivers the small frames."""

    async def exchange() -> float:
        network = MemoryNetwork(LIMITS)
        counter = Counter(SMALL_FRAMES)
        await network.listen("receiver", lambda channel: counter)
        channel = await network.dial("sender", "receiver", counter)
        started = time.perf_counter()
        for _ in range(SMALL_FRAMES // BURST):
            for _ in range(BURST):
                channel.send("note", NOTE)
            await asyncio.sleep(0)
        await counter.seconds
        seconds = time.perf_counter() - started
        await network.close()
        return seconds

    return asyncio.run(exchange())


def call_soon_seconds() -> float:
    """Seconds in which the loop makes as many calls that do nothing."""

    async def calls() -> float:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        for _ in range(SMALL_FRAMES // BURST):
            for _ in range(BURST):
                loop.call_soon(int)
            await asyncio.sleep(0)
        return time.perf_counter() - started

    return asyncio.run(calls())
