"""A few pages over HTTP, such as `/metrics` and `/health`, on the loop that the players run on.

So an answer also says that the loop is alive. It must never hold up a round: pages are small, connections few and
short, and only so many a second are looked at. There is one request to a connection (RFC 9112), no state and no secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from asyncagg.net.errors import ListenFailed, describe_os_error, host_port
from asyncagg.scenario.values.addresses import LOOPBACK, split


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    content_type: str
    body: bytes
    status: int = 200


@dataclass(frozen=True, slots=True)
class ServerBounds:
    """Bounds on what strangers may cost."""

    connections: int = 8
    """Connections at a time; one more, and the oldest is cut."""
    request_bytes: int = 4096
    seconds: float = 3.0
    """Longest time from the connection to the last byte of the answer."""
    pause: float = 0.01
    """Seconds between two connections; others wait in the system's queue, which is as short as `connections`."""


class BadRequest(Exception):
    """A request that gets no page, and the status that says why."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def parse_address(text: str) -> tuple[str, int]:
    """`[HOST:]PORT`; without a host this one only can ask, on loopback. Port 0: the system chooses.

    Raises ValueError, whose text says what it is and what would be right.
    """
    return split(text if ":" in text else f"{LOOPBACK}:{text}", listens=False)


class PageServer:
    """Holds the address from the start, so that nobody else gets it; answers from `start` to `close`."""

    def __init__(
        self, host: str, port: int, pages: Mapping[str, Callable[[], Page]], bounds: ServerBounds | None = None
    ) -> None:
        """`pages` are by path. ListenFailed when the address cannot be had."""
        self._pages = pages
        self._bounds = bounds or ServerBounds()
        try:
            self._socket = _listening(host, port, self._bounds.connections)
        except OSError as error:
            raise ListenFailed("the metrics endpoint", host_port(host, port), describe_os_error(error)) from None
        self._accepting: asyncio.Task[None] | None = None
        self._answering: dict[asyncio.Task[None], None] = {}
        self._broken: set[str] = set()

    @property
    def where(self) -> str:
        """`host:port`, as it is after the system's choice."""
        return host_port(*self._socket.getsockname()[:2])

    def start(self) -> None:
        """Answer from now on, on the running loop."""
        self._accepting = asyncio.get_running_loop().create_task(self._accept(), name="metrics endpoint")

    async def close(self) -> None:
        """Cut whoever is still there, and give the address back."""
        tasks = [*self._answering, *([] if self._accepting is None else [self._accepting])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError):  # no descriptors left, or gone before it was taken
                connection, _ = await loop.sock_accept(self._socket)
                self._take(connection)
            await asyncio.sleep(self._bounds.pause)

    def _take(self, connection: socket.socket) -> None:
        if len(self._answering) >= self._bounds.connections:
            next(iter(self._answering)).cancel()
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._answering[task] = None
        task.add_done_callback(lambda done: self._answering.pop(done, None))

    async def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # TimeoutError is one: whoever is slow is cut
            connection.setblocking(False)
            async with asyncio.timeout(self._bounds.seconds):
                answer = await self._answer(connection)
                await asyncio.get_running_loop().sock_sendall(connection, answer)
                connection.shutdown(socket.SHUT_WR)

    async def _answer(self, connection: socket.socket) -> bytes:
        try:
            method, path = _parse(await self._request(connection))
            page = self._pages.get(path)
            if page is None:
                raise BadRequest(HTTPStatus.NOT_FOUND)
        except BadRequest as bad:
            return _response(_apology(bad.status))
        return _response(self._made(path, page), whole=method == "GET")

    def _made(self, path: str, page: Callable[[], Page]) -> Page:
        """The page, or that there is none: a mistake of ours, which is told here, once, and not to who asks."""
        try:
            return page()
        except Exception as error:
            if path not in self._broken:
                self._broken.add(path)
                context = {"message": f"the page {path} cannot be made", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
            return _apology(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _request(self, connection: socket.socket) -> bytes:
        """Everything up to the empty line."""
        loop, found, limit = asyncio.get_running_loop(), b"", self._bounds.request_bytes
        while b"\r\n\r\n" not in found:
            data = await loop.sock_recv(connection, limit)
            found += data
            if not data or len(found) > limit:
                raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if data else HTTPStatus.BAD_REQUEST)
        return found


def _listening(host: str, port: int, backlog: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _parse(request: bytes) -> tuple[str, str]:
    """Method and path of a request; its headers do not matter."""
    try:
        method, target, version = request.partition(b"\r\n")[0].decode("ascii").split(" ")
    except ValueError:
        raise BadRequest(HTTPStatus.BAD_REQUEST) from None
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    if method not in ("GET", "HEAD"):
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED)
    return method, target.partition("?")[0]


def _apology(status: HTTPStatus) -> Page:
    return Page("text/plain; charset=utf-8", f"{status.phrase}\n".encode(), status)


def _response(page: Page, whole: bool = True) -> bytes:
    """The bytes of an answer, without its body where only the head was asked for."""
    status = HTTPStatus(page.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        *(["Allow: GET, HEAD"] if status is HTTPStatus.METHOD_NOT_ALLOWED else []),
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (page.body if whole else b"")
