"""`"host:port"` as it stands in config.json."""

from __future__ import annotations

import ipaddress
import re
import socket

from asyncagg.scenario.errors import show

LAST_PORT = 65_535
LOOPBACK = "127.0.0.1"
"""Address at which a process listens that only this host is to reach."""

_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]*)\](?P<rest>.*)")
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_LONGEST_NAME = 253
_NUMBERS = re.compile(r"[0-9.]+")


def split(value: object, listens: bool) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets. Port 0 and 0.0.0.0 only where nobody listens.

    Raises ValueError, whose text says what the value is and what would be right.
    """
    if not isinstance(value, str):
        raise ValueError(f'is {show(value)} ("host:port")')
    if bracketed := _BRACKETED.fullmatch(value):
        host, port = bracketed["host"], bracketed["rest"].removeprefix(":")
        _check_six(host, value)
    else:
        host, colon, port = value.rpartition(":")
        if not colon:
            raise ValueError(f'is {show(value)}, which has no port ("host:port")')
        _check_host(host, value)
    if listens and (address := _literal(host)) is not None and address.is_unspecified:
        raise ValueError(f"is {show(value)}, where nobody can be reached (the address that others dial)")
    return host, _port(port, value, listens)


def joined(host: str, port: int) -> str:
    """`host:port` again."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def normal(host: str) -> str:
    """The same for every spelling of a host."""
    address = _literal(host)
    return host.rstrip(".").casefold() if address is None else str(address)


def is_loopback(host: str) -> bool:
    """True if the host is this one under an address that no other host can reach, going by its spelling."""
    address = _literal(host)
    return normal(host) == "localhost" if address is None else address.is_loopback


def trouble(host: str) -> str | None:
    """Reason why the name or address cannot be resolved here; None where it can. Waits for the resolver."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return str(error.strerror)
    except UnicodeError:
        return "not a name"
    return None


def _port(digits: str, value: str, listens: bool) -> int:
    lowest = 1 if listens else 0
    if not (digits.isascii() and digits.isdigit()):
        what = f"whose port is {show(digits)}" if digits else "which has no port"
        raise ValueError(f"is {show(value)}, {what} (a number from {lowest} to {LAST_PORT})")
    if len(digits) > len(str(LAST_PORT)) or not lowest <= int(digits) <= LAST_PORT:
        raise ValueError(f"is {show(value)}: there is no port {digits[:20]} (a number from {lowest} to {LAST_PORT})")
    return int(digits)


def _check_host(host: str, value: str) -> None:
    if not host:
        raise ValueError(f'is {show(value)}, which has no host ("host:port")')
    if ":" in host and _literal(host) is not None:
        raise ValueError(f'is {show(value)}: an IPv6 address stands in brackets ("[::1]:4440")')
    named = len(host) <= _LONGEST_NAME and _NAME.fullmatch(host)
    if not named or (_NUMBERS.fullmatch(host) and _literal(host) is None):
        raise ValueError(f'is {show(value)}, whose host is {show(host)} (a name or an address: "10.0.0.1:4440")')


def _check_six(host: str, value: str) -> None:
    if not isinstance(_literal(host), ipaddress.IPv6Address):
        raise ValueError(f'is {show(value)}: there is no IPv6 address in the brackets ("[::1]:4440")')


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
