"""Bytes to frames, without I/O: the caller fills `get_buffer()` and says how much with `buffer_updated(n)`.

Frames up to 64 KiB are cut out of one scratch buffer. The body and payload of a larger one are received
straight into memory of their exact size; only what had already arrived in scratch is copied. A larger one that
nobody wants is skipped, and takes no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from asyncagg.net.errors import FrameError, Refusal
from asyncagg.net.frames import CONTROL, MAGIC, MAX_HEADER, PREFIX, Frame, FrameRules, Header, parse_header

SCRATCH = 64 * 1024
_KNOWN_HEADERS = 512


class Decoder:
    """Cuts one connection's byte stream into frames.

    The rules say what is let through, before `allocate(size)` takes the memory of a large payload. `wants` is
    asked about every large frame that is not a control frame; it may raise FrameError too. After a FrameError
    the decoder is of no further use.
    """

    __slots__ = ("_allocate", "_end", "_header", "_known", "_large", "_rules", "_skip", "_start", "_view", "wants")

    def __init__(self, rules: FrameRules, allocate: Callable[[int], memoryview]) -> None:
        self.wants: Callable[[Header], bool] = lambda header: True
        self._rules = rules
        self._known: dict[bytes, Header] = {}  # the last ones let through: the same few come again and again
        self._allocate = allocate
        self._view = memoryview(bytearray(SCRATCH))
        self._start = 0  # of what has arrived in scratch and was not cut out yet
        self._end = 0
        self._header: Header | None = None  # of a frame that will lie in scratch and has not all arrived
        self._large: _Large | None = None
        self._skip = 0  # bytes still to come of a large frame that nobody wants

    def set_rules(self, rules: FrameRules) -> None:
        """Let through what `rules` do, from the next frame on."""
        self._rules = rules
        self._known.clear()

    @property
    def inside_frame(self) -> bool:
        """True if the bytes so far end inside a frame."""
        return self._large is not None or self._header is not None or self._skip > 0 or self._end > self._start

    def get_buffer(self) -> memoryview:
        """Buffer for the next bytes; never empty."""
        if self._large is not None:
            return self._large.missing[0]
        if self._skip:
            return self._view[: self._skip]
        if self._start:
            rest = self._end - self._start
            self._view[:rest] = self._view[self._start : self._end]
            self._start, self._end = 0, rest
        return self._view[self._end :]

    def buffer_updated(self, count: int) -> Iterator[Frame]:
        """The frames that the `count` bytes now in the buffer complete.

        To be read to its end before the next call. FrameError, after the frames before it, at the first byte
        that no honest peer sends.
        """
        if self._large is not None:
            if self._large.fill(count):
                frame, self._large = self._large.frame(), None
                yield frame
            return
        if self._skip:
            self._skip -= count
            return
        self._end += count
        while (header := self._header or self._next_header()) is not None:
            size = header.body + header.payload
            if size > self._end - self._start:
                self._wait_for(header, size)
                return
            yield self._cut(header)

    def _wait_for(self, header: Header, size: int) -> None:
        """Remember a frame that has not all arrived; if scratch is too small, take memory for it or skip it."""
        if size <= SCRATCH:
            self._header = header
            return
        if header.kind[0] != CONTROL and not self.wants(header):
            self._skip = size - (self._end - self._start)
            self._start = self._end = 0
            return
        payload = self._allocate(header.payload) if header.payload else memoryview(b"")
        self._large = _Large(header, payload, self._view[self._start : self._end])
        self._start = self._end = 0

    def _cut(self, header: Header) -> Frame:
        """The frame of `header`, whose body and payload begin at `_start`."""
        body_end = self._start + header.body
        end = body_end + header.payload
        body = bytes(self._view[self._start : body_end]) if header.body else b""
        payload = bytes(self._view[body_end:end]) if header.payload else b""
        self._start = end
        self._header = None
        return Frame(header.sender, header.receiver, header.kind, body, payload)

    def _next_header(self) -> Header | None:
        """The header at the front of scratch, checked, or None while it is incomplete."""
        start = self._start
        have = self._end - start
        if have < PREFIX.size:
            _check_start(bytes(self._view[start : self._end]))
            return None
        magic, length = PREFIX.unpack_from(self._view, start)
        if magic != MAGIC:
            _check_start(magic)
        if length > MAX_HEADER:
            raise FrameError(Refusal.BAD_HEADER, f"header of {length} bytes, at most {MAX_HEADER}")
        if have < PREFIX.size + length:
            return None
        start += PREFIX.size
        self._start = start + length
        packed = bytes(self._view[start : self._start])
        return self._known.get(packed) or self._admit(packed)

    def _admit(self, packed: bytes) -> Header:
        """The header in `packed`, if it may pass."""
        header = parse_header(packed)
        self._rules.check(header)
        if len(self._known) >= _KNOWN_HEADERS:
            self._known.clear()
        self._known[packed] = header
        return header


class _Large:
    """A frame larger than scratch while its bytes arrive; `missing` is the memory still to be filled."""

    __slots__ = ("_body", "_header", "_payload", "missing")

    def __init__(self, header: Header, payload: memoryview, arrived: memoryview) -> None:
        self._header = header
        self._body = bytearray(header.body)
        self._payload = payload
        self.missing = [part for part in (memoryview(self._body), payload) if part]
        while arrived:
            have = min(len(arrived), len(self.missing[0]))
            self.missing[0][:have] = arrived[:have]
            arrived = arrived[have:]
            self.fill(have)

    def fill(self, count: int) -> bool:
        """Account for `count` more bytes; True if they were the last."""
        rest = self.missing[0][count:]
        self.missing[:1] = [rest] if rest else []
        return not self.missing

    def frame(self) -> Frame:
        """The frame, now that all of it is there."""
        header = self._header
        return Frame(header.sender, header.receiver, header.kind, bytes(self._body), self._payload)


def _check_start(seen: bytes) -> None:
    """Refuse a stranger at its first bytes, however few of them have arrived."""
    if not MAGIC.startswith(seen[: len(MAGIC)]):
        raise FrameError(Refusal.GARBAGE, "does not begin like a frame")
