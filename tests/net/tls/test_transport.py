"""The TLS layer alone, between a transport and a session that are made up, against a peer that keeps to no habit."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from support.authority import Authority

from asyncagg.net.tls.transport import TlsLayer

OURS = Authority("ours")
HIGH = 64 * 1024
ANSWER = 27
"""Bytes of a KeyUpdate on the wire."""
SUITES = {
    "TLS_AES_256_GCM_SHA384": (AESGCM, 32, SHA384()),
    "TLS_AES_128_GCM_SHA256": (AESGCM, 16, SHA256()),
    "TLS_CHACHA20_POLY1305_SHA256": (ChaCha20Poly1305, 32, SHA256()),
}


class Raw(asyncio.Transport):
    """A transport that keeps what is written to it until a test takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer: TlsLayer
        self.waiting = bytearray()
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.aborted
        self.waiting += data
        if len(self.waiting) > HIGH:
            self.layer.pause_writing()

    def take(self) -> bytes:
        """What was written; there is room again."""
        taken = bytes(self.waiting)
        self.waiting.clear()
        self.layer.resume_writing()
        return taken

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class Session:
    """What the layer wants of a session."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(1024))
        self.received = bytearray()
        self.transport: TlsLayer | None = None
        self.paused = False
        self.unsafe_for: list[OSError] = []
        self.lost: list[Exception | None] = []

    def connection_made(self, transport: TlsLayer) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self.buffer[:nbytes]

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def unsafe(self, error: OSError) -> None:
        self.unsafe_for.append(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


class Peer:
    """A TLS client that has shaken hands, and from then on writes its records by hand (RFC 8446, 5.2 and 7.2)."""

    def __init__(self, keys: Path) -> None:
        context = OURS.tls("owner-0").client
        context.keylog_filename = str(keys)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self.raw, self.session = Raw(), Session()
        self.layer = self.raw.layer = TlsLayer(OURS.tls("node-0").server, self.session, server_side=True)  # type: ignore[arg-type]
        self.layer.connection_made(self.raw)
        while self.session.transport is None:
            self._shake_hands()
            self.say(self._outgoing.read())
            self._incoming.write(self.raw.take())
        self._cipher, self._key_size, self._hash = SUITES[self._tls.cipher()[0]]
        lines = dict(line.split()[::2] for line in keys.read_text().splitlines() if not line.startswith("#"))
        self._secret = bytes.fromhex(lines["CLIENT_TRAFFIC_SECRET_0"])
        self._number = 0

    def _shake_hands(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()

    def say(self, data: bytes) -> None:
        """Have the layer receive these bytes."""
        buffer = self.layer.get_buffer(-1)
        buffer[: len(data)] = data
        self.layer.buffer_updated(len(data))

    def update_keys(self) -> bytes:
        """A KeyUpdate that asks for another."""
        record = self.record(b"\x18\x00\x00\x01\x01", content=22)
        self._secret, self._number = self._derived("traffic upd", self._hash.digest_size), 0
        return record

    def record(self, text: bytes, content: int = 23) -> bytes:
        head = b"\x17\x03\x03" + (len(text) + 17).to_bytes(2, "big")
        nonce = int.from_bytes(self._derived("iv", 12), "big") ^ self._number
        self._number += 1
        key = self._derived("key", self._key_size)
        sealed = self._cipher(key).encrypt(nonce.to_bytes(12, "big"), text + bytes([content]), head)
        return head + sealed

    def _derived(self, label: str, size: int) -> bytes:
        name = f"tls13 {label}".encode()
        info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00"
        return HKDFExpand(self._hash, size, info).derive(self._secret)


@pytest.fixture
def peer(tmp_path: Path) -> Peer:
    return Peer(tmp_path / "keys")


def test_whoever_has_tls_answer_and_takes_no_answers_is_cut(peer: Peer) -> None:
    peer.layer.write(bytes(HIGH))
    assert peer.session.paused
    before = len(peer.raw.waiting)
    for _ in range(10_000):
        peer.say(peer.update_keys())
        if peer.raw.aborted:
            break
    assert peer.raw.aborted
    assert HIGH - ANSWER < len(peer.raw.waiting) - before <= HIGH
    peer.layer.connection_lost(None)
    assert [str(lost) for lost in peer.session.lost] == ["it asks TLS for answers and takes none"]


def test_whoever_takes_the_answers_gets_them(peer: Peer) -> None:
    for _ in range(3):
        peer.layer.write(bytes(HIGH))
        waiting = len(peer.raw.waiting)
        for _ in range(2000):
            peer.say(peer.update_keys())
        assert len(peer.raw.waiting) > waiting + 1900 * ANSWER  # OpenSSL may keep the last for later
        peer.raw.take()
    peer.say(peer.record(b"still here"))
    assert peer.session.received == b"still here"
    assert not peer.raw.aborted


def test_whoever_only_talks_while_we_wait_is_heard(peer: Peer) -> None:
    """Both sides may send at once, each waiting for the other to take it."""
    peer.layer.write(bytes(HIGH))
    for _ in range(1000):
        peer.say(peer.record(bytes(1024)))
    assert len(peer.session.received) == 1000 * 1024
    assert not peer.raw.aborted


def test_a_failed_handshake_is_told_though_the_peer_has_reset_the_connection() -> None:
    raw, session = Raw(), Session()
    raw.layer = TlsLayer(OURS.tls("node-0").server, session, server_side=True)  # type: ignore[arg-type]
    raw.layer.connection_made(raw)
    data = b"GET / HTTP/1.1\r\n\r\n"
    raw.layer.get_buffer(-1)[: len(data)] = data
    raw.layer.buffer_updated(len(data))
    (error,) = session.unsafe_for
    assert isinstance(error, ssl.SSLError)
    assert error.reason == "HTTP_REQUEST"


def test_saying_goodbye_to_a_peer_that_has_reset_the_connection_is_no_error(peer: Peer) -> None:
    peer.layer.write_eof()
    assert not peer.raw.aborted


def test_connections_of_one_thread_share_memory_and_others_do_not(peer: Peer) -> None:
    """While one thread receives, another may run."""
    record = peer.record(b"mine")
    peer.layer.get_buffer(-1)[: len(record)] = record
    other = threading.Thread(target=lambda: peer.layer.get_buffer(-1).__setitem__(slice(100), bytes(100)))
    other.start()
    other.join()
    peer.layer.buffer_updated(len(record))
    assert peer.session.received == b"mine"
    assert peer.layer.get_buffer(-1) is peer.layer.get_buffer(-1)
