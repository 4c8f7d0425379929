"""Keys and certificates for mutual TLS 1.3: each side shows a certificate of one private authority.

Whom a certificate is for is told by its DNS names, which are players. No name is ever sent in clear: the client
names no server (no SNI), and TLS 1.3 encrypts both certificates. So names are checked after the handshake, by
the dialling end (`outbound`) and by the listening one (`inbound`), with `certified`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS contexts of one process for either end of a connection: its own certificate, and the authority it trusts."""

    server: ssl.SSLContext = field(repr=False)
    client: ssl.SSLContext = field(repr=False)

    @classmethod
    def from_pem(cls, authority: bytes, certificate: bytes, key: bytes) -> Tls:
        """Both contexts, from PEM: the authority's certificate, ours (and what lies between), our key.

        ValueError, in one line that shows nothing of the key, when they are not PEM or do not belong together.
        """
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.num_tickets = 0  # sessions are not resumed
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False  # there is no host name; see `certified`
        for context in (server, client):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            _believe(context, authority)
            _show(context, certificate, key)
        return cls(server, client)


def certified(transport: asyncio.BaseTransport) -> frozenset[str] | None:
    """The players that the other side's certificate names; None when the connection is not encrypted."""
    certificate = transport.get_extra_info("peercert")
    if certificate is None:
        return None
    return frozenset(name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS")


def name_certified(names: frozenset[str]) -> str:
    """For an error: whom a certificate is for."""
    first = sorted(names)[:3]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return f"its certificate is for {', '.join(first) or 'nobody'}{more}"


def _believe(context: ssl.SSLContext, authority: bytes) -> None:
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ValueError("the authority's certificate is not a certificate in PEM") from None


def _show(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a certificate and its key. OpenSSL names neither file nor part in its errors: each is tried alone."""
    try:
        with _as_file(certificate) as chain, _as_file(key) as secret:
            context.load_cert_chain(chain, secret, password=_no_password)
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise ValueError("the key does not belong to the certificate") from None
        part = "key is not a private key" if _is_certificate(certificate) else "certificate is not a certificate"
        raise ValueError(f"the {part} in PEM that TLS can use") from None


def _no_password() -> NoReturn:
    raise ValueError("the key is encrypted: it must be without a password")


def _is_certificate(pem: bytes) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return True


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path to read `data` from, for OpenSSL takes no other: in memory, or else a file of our own, soon gone."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        number = os.memfd_create("pem", os.MFD_CLOEXEC)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{number}"
        return
    with tempfile.NamedTemporaryFile() as file:  # with mode 0600
        file.write(data)
        file.flush()
        yield file.name
