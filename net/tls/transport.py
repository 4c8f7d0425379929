"""TLS between a socket's transport and a session, the same on every event loop.

The loops' own TLS closes the socket without a word when a handshake fails, so that neither side learns what the
other found wrong; and asyncio's keeps 256 KiB for every connection.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from typing import Any, cast

_DISCARD_AT_MOST = 1 << 20
_ANSWERS_AT_MOST = 64 * 1024


class _Shared(threading.local):
    """Receive buffer of all connections of a thread: it is emptied in the same call that says it is filled."""

    def __init__(self) -> None:
        self.received = memoryview(bytearray(256 * 1024))


_shared = _Shared()


class SecuredProtocol(asyncio.BufferedProtocol):
    """The protocol above a TlsLayer: it hears what asyncio's protocols hear, and of a handshake that failed."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Buffer for the next decrypted bytes; never empty."""
        raise NotImplementedError

    def unsafe(self, error: OSError) -> None:
        """The handshake failed, or was cut: `connection_made` will never be called."""

    def never_made(self) -> None:
        """The socket of a connection that failed in its handshake is closed."""


class TlsLayer(asyncio.Transport, asyncio.BufferedProtocol):
    """The protocol of the transport below and the transport of the session above, which is made when TLS stands.

    A handshake that fails is told to the session, and to the other side by an alert. After that the layer
    discards what comes until the other side closes, or someone aborts.
    """

    def __init__(self, context: ssl.SSLContext, session: SecuredProtocol, *, server_side: bool) -> None:
        super().__init__()
        self._session = session
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._raw: asyncio.Transport
        self._stands = False
        self._failed = False
        self._said_bye = False
        self._wrote_eof = False
        self._discarded = 0
        self._paused = False
        self._answered = 0
        """Bytes of TLS's own that were added to those that wait: answers to what asks for one (RFC 8446, 4.6.3)."""
        self._error: OSError | None = None

    # --- the protocol of the transport below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast("asyncio.Transport", transport)
        self._shake_hands()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _shared.received

    def buffer_updated(self, nbytes: int) -> None:
        if self._failed:
            self._discarded += nbytes
            if self._discarded > _DISCARD_AT_MOST:
                self.abort()
            return
        self._incoming.write(_shared.received[:nbytes])
        if not self._stands:
            self._shake_hands()
        if self._stands:
            self._read()

    def eof_received(self) -> None:
        """Pass it on; the transport below closes itself."""
        if self._stands:
            self._session.eof_received()

    def pause_writing(self) -> None:
        self._paused = True
        if self._stands:
            self._session.pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        self._answered = 0
        if self._stands:
            self._session.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stands:
            self._session.connection_lost(self._error or exc)
            return
        if not self._failed:
            lost = exc if isinstance(exc, OSError) else ConnectionAbortedError("closed during the TLS handshake")
            self._session.unsafe(lost)
        self._session.never_made()

    # --- the transport of the session above

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio has it; `peercert` is the other side's certificate as `ssl` decodes it."""
        return self._tls.getpeercert() if name == "peercert" else self._raw.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._said_bye or self._raw.is_closing():
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        self._flush()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Encrypted bytes that wait to be sent."""
        return self._raw.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """True if the transport below can: TLS 1.3 closes each direction on its own (RFC 8446, 6.1)."""
        return self._raw.can_write_eof()

    def write_eof(self) -> None:
        self._say_bye()
        self._wrote_eof = True
        if not self._raw.is_closing():
            with suppress(OSError):  # the other side has reset the connection, which we will read in a moment
                self._raw.write_eof()

    def is_closing(self) -> bool:
        return self._raw.is_closing()

    def close(self) -> None:
        self._say_bye()
        self._raw.close()

    def abort(self) -> None:
        self._raw.abort()

    # --- the rest

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._failed = True
            self._flush()
            self._session.unsafe(error)
            self.write_eof()
        else:
            self._stands = True
            self._flush()
            self._session.connection_made(self)

    def _read(self) -> None:
        """Hand all that can be decrypted to the session."""
        try:
            while not self._raw.is_closing():
                buffer = self._session.get_buffer(-1)
                count = cast("int", self._tls.read(len(buffer), buffer))
                if not count:
                    self._heard_bye()
                    break
                self._session.buffer_updated(count)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._heard_bye()
        except ssl.SSLError as error:
            self._flush()
            self._fail(error)
        self._answer()

    def _answer(self) -> None:
        """Send what TLS itself has to say to what was read. A session that is paused has added nothing to it."""
        if self._paused:
            self._answered += self._outgoing.pending
            if self._answered > _ANSWERS_AT_MOST:
                self._fail(ConnectionAbortedError("it asks TLS for answers and takes none"))
        self._flush()

    def _fail(self, error: OSError) -> None:
        self._error = error
        self.abort()

    def _heard_bye(self) -> None:
        self._session.eof_received()
        self.close()

    def _say_bye(self) -> None:
        """Tell the other side that this is the end and not a cut, which anyone could make."""
        if self._stands and not self._said_bye:
            self._said_bye = True
            with suppress(ssl.SSLError):  # that the other side has not said so yet, or TLS is broken already
                self._tls.unwrap()
            self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._wrote_eof and not self._raw.is_closing():
            self._raw.write(data)
