"""The fence around virtual time: every call of an event loop that reaches outside the program is refused by name."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from asyncagg.net.virtual.errors import FenceError


def _fenced(call: str, why: str) -> Any:
    def refuse(*_args: Any, **_options: Any) -> NoReturn:
        raise FenceError(f"{call} on the virtual loop: {why}")

    return refuse


NO_THREADS = "a thread runs in real time; call the function inline and charge its cost in virtual time"
_NO_SOCKETS = "a socket answers in real time; use the in-memory network, or run on asyncio's own loop"
_NO_PROCESSES = "a process runs in real time; start it outside the simulation, or run on asyncio's own loop"
_NO_SIGNALS = "a signal comes in real time; handle it outside the simulation, or run on asyncio's own loop"


class RefusedCalls(asyncio.AbstractEventLoop):
    """Every call of an event loop that reaches outside the program, refused before there is an awaitable."""

    run_in_executor = _fenced("run_in_executor", NO_THREADS)
    set_default_executor = _fenced("set_default_executor", NO_THREADS)

    getaddrinfo = _fenced("getaddrinfo", _NO_SOCKETS)
    getnameinfo = _fenced("getnameinfo", _NO_SOCKETS)
    create_connection = _fenced("create_connection", _NO_SOCKETS)
    create_server = _fenced("create_server", _NO_SOCKETS)
    create_datagram_endpoint = _fenced("create_datagram_endpoint", _NO_SOCKETS)
    create_unix_connection = _fenced("create_unix_connection", _NO_SOCKETS)
    create_unix_server = _fenced("create_unix_server", _NO_SOCKETS)
    connect_accepted_socket = _fenced("connect_accepted_socket", _NO_SOCKETS)
    start_tls = _fenced("start_tls", _NO_SOCKETS)
    sendfile = _fenced("sendfile", _NO_SOCKETS)
    sock_recv = _fenced("sock_recv", _NO_SOCKETS)
    sock_recv_into = _fenced("sock_recv_into", _NO_SOCKETS)
    sock_recvfrom = _fenced("sock_recvfrom", _NO_SOCKETS)
    sock_recvfrom_into = _fenced("sock_recvfrom_into", _NO_SOCKETS)
    sock_sendall = _fenced("sock_sendall", _NO_SOCKETS)
    sock_sendto = _fenced("sock_sendto", _NO_SOCKETS)
    sock_sendfile = _fenced("sock_sendfile", _NO_SOCKETS)
    sock_connect = _fenced("sock_connect", _NO_SOCKETS)
    sock_accept = _fenced("sock_accept", _NO_SOCKETS)
    add_reader = _fenced("add_reader", _NO_SOCKETS)
    remove_reader = _fenced("remove_reader", _NO_SOCKETS)
    add_writer = _fenced("add_writer", _NO_SOCKETS)
    remove_writer = _fenced("remove_writer", _NO_SOCKETS)

    connect_read_pipe = _fenced("connect_read_pipe", _NO_PROCESSES)
    connect_write_pipe = _fenced("connect_write_pipe", _NO_PROCESSES)
    subprocess_shell = _fenced("subprocess_shell", _NO_PROCESSES)
    subprocess_exec = _fenced("subprocess_exec", _NO_PROCESSES)

    add_signal_handler = _fenced("add_signal_handler", _NO_SIGNALS)
    remove_signal_handler = _fenced("remove_signal_handler", _NO_SIGNALS)
