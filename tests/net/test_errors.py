"""Errors of the operating system in plain words, and options out of range."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from asyncagg.net.errors import ConnectFailed, describe_os_error, host_port, printable, seconds
from asyncagg.net.options import TcpOptions


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"),
            "connection refused",
        ),
        (OSError("Multiple exceptions: [Errno 111] x ('::1', 1), [Errno 111] x"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to host"),
        (TimeoutError(), "timed out"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "unknown host (Name or service not known)",
        ),
        (
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
            "TLS: [ssl: wrong version number]",
        ),
        (OSError("something else"), "something else"),
        (OSError(), "OSError"),
    ],
)
def test_an_os_error_in_words(error: OSError, words: str) -> None:
    assert describe_os_error(error).startswith(words)


def test_a_failed_connection_is_one_line() -> None:
    error = ConnectFailed("compute-node-1", "127.0.0.1:4001", 10_000_000_000, "connection refused")
    assert str(error) == "cannot reach compute-node-1 at 127.0.0.1:4001 after 10 s: connection refused"


def test_durations_addresses_and_texts_as_people_write_them() -> None:
    assert [seconds(ns) for ns in (10_000_000_000, 250_000_000, 90_000_000_000)] == ["10 s", "0.25 s", "90 s"]
    assert [host_port("::1", 80), host_port("localhost", 80)] == ["[::1]:80", "localhost:80"]
    assert printable("a\x1b[2J\nb\u202e", limit=7) == "a?[2J?b"


def test_options_are_positive() -> None:
    with pytest.raises(ValueError, match="keepalive_ns must be positive, got 0"):
        TcpOptions(keepalive_ns=0)
