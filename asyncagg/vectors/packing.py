"""Bit packing: ring elements of b bits on the wire in b/8 bytes each, for every b from 8 to 64.

The format is planar. Elements are taken in blocks, and a block is a row of planes, lowest bits first: the
whole bytes of all its elements as arrays of little-endian uint64, uint32, uint16 or uint8 (b = 24: the
low 16 bits of every element, then the next 8), then the remaining 1 to 7 bits as planes of 4, 2 and 1
bits. In a plane of w < 8 bits a byte carries 8/w elements that lie a stride apart: byte i holds elements
i, i + s, i + 2s, … from its low bits up, s being the plane's size in bytes. Every plane is thus made by
whole-array shifts of machine words, none by moving single bits.

Blocks have 262,144 elements while there are as many; then one has the largest multiple of 64 that is
left; the last has the rest, or all that is left below 4,096. All but the last take exactly b/8 bytes an
element; the last rounds each of its at most three narrow planes up to whole bytes, so a packed vector is
at most 2 bytes longer than ⌈count·b/8⌉.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.vectors.ring import MAX_BITS, MIN_BITS, Ring, RingError, RingVector

BLOCK = 1 << 18  # elements: small enough for the outer caches, large enough to hide numpy's cost of a call
SMALL = 1 << 12
Buffer = bytes | bytearray | memoryview
Octets = NDArray[np.uint8]
Lanes = NDArray[np.uint64] | NDArray[np.uint8]
Plane = NDArray[np.unsignedinteger[Any]]


class PackingError(ValueError):
    """A buffer whose size is not that of the vector it should hold."""


def packed_size(count: int, bits: int) -> int:
    """Bytes of `count` packed elements: ⌈count·bits/8⌉, and up to 2 more.

    Raises:
        RingError: `bits` not 8 to 64.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise RingError(f"elements have {MIN_BITS} to {MAX_BITS} bits, not {bits}")
    rest = count % BLOCK
    last = rest if rest < SMALL else rest % 64
    return (count - last) // 8 * bits + _block_size(last, bits)


def pack(words: RingVector, bits: int, out: bytearray | None = None) -> bytearray:
    """Pack the low `bits` bits of every word; what lies above is cut.

    Args:
        words: (d,), of the word type of a ring of `bits` bits.
        out: where to put the result, `packed_size(d, bits)` bytes; a new bytearray if absent.

    Raises:
        RingError: words of another type, or `bits` out of range.
        PackingError: `out` has the wrong size.
    """
    packed = bytearray(packed_size(words.size, bits)) if out is None else out
    octets = _octets(packed, words.size, bits)
    _check_words(words, bits)
    scratch = _Scratch(words.size, bits)
    for block in _blocks(words.size):
        _pack_block(words[block], _place(octets, block, bits), bits, scratch)
    return packed


def unpack(buffer: Buffer, count: int, bits: int, out: RingVector | None = None) -> RingVector:
    """The `count` words that were packed; every buffer of the right size is a valid vector.

    Args:
        buffer: exactly `packed_size(count, bits)` bytes.
        out: (count,) words of the ring's type to write to; a new array if absent.

    Raises:
        RingError: `out` of another type, or `bits` out of range.
        PackingError: `buffer` or `out` has the wrong size.
    """
    octets = _octets(buffer, count, bits)
    words = np.empty(count, Ring(bits).dtype) if out is None else out
    _check_words(words, bits)
    if words.size != count:
        raise PackingError(f"{count} elements do not go into {words.size} words")
    scratch = _Scratch(count, bits)
    for block in _blocks(count):
        _unpack_block(_place(octets, block, bits), words[block], bits, scratch, _set)
    return words


def add_packed(accumulator: RingVector, buffer: Buffer, bits: int) -> None:
    """Add a packed vector to `accumulator` (d,) in place, one cache-sized block after the other. Wraps.

    Raises:
        RingError, PackingError: as `unpack`, with d as the count.
    """
    octets = _octets(buffer, accumulator.size, bits)
    _check_words(accumulator, bits)
    scratch = _Scratch(accumulator.size, bits)
    for block in _blocks(accumulator.size):
        _unpack_block(_place(octets, block, bits), accumulator[block], bits, scratch, _add)


Take = Callable[[RingVector, Plane, int, "_Scratch"], None]


class _Scratch:
    """Arrays that the blocks of one call share: one of words, one of bytes, one of narrow lanes."""

    def __init__(self, count: int, bits: int) -> None:
        block = min(BLOCK, count)
        self.words: RingVector = np.empty(block, Ring(bits).dtype)
        self.octets: Octets = np.empty(block + 8, np.uint8)  # a narrow plane is filled up by at most 7
        self.lanes: Octets = np.empty(block + 8, np.uint8)


def _check_words(words: RingVector, bits: int) -> None:
    if words.dtype != Ring(bits).dtype or words.ndim != 1:
        raise RingError(
            f"elements of {bits} bits are flat {Ring(bits).dtype} words, not {words.dtype} of shape {words.shape}"
        )


def _octets(buffer: Buffer, count: int, bits: int) -> Octets:
    octets = np.frombuffer(buffer, np.uint8)
    if octets.size != packed_size(count, bits):
        raise PackingError(f"{count} elements of {bits} bits take {packed_size(count, bits)} bytes, not {octets.size}")
    return octets


def _blocks(count: int) -> Iterator[slice]:
    """The elements of every block."""
    start = 0
    while start < count:
        rest = count - start
        stop = start + (rest if rest < SMALL else min(BLOCK, rest // 64 * 64))
        yield slice(start, stop)
        start = stop


def _place(octets: Octets, block: slice, bits: int) -> Octets:
    """The packed bytes of a block; it starts at a multiple of 64 elements, which take 8 bytes a bit."""
    offset = block.start // 8 * bits
    return octets[offset : offset + _block_size(block.stop - block.start, bits)]


def _block_size(count: int, bits: int) -> int:
    return count * (bits // 8) + sum(_plane_size(count, width) for width in _narrow(bits))


def _plane_size(count: int, width: int) -> int:
    return -(-count * width // 8)


def _narrow(bits: int) -> list[int]:
    """Widths of the planes below a byte, which add up to bits mod 8."""
    return [width for width in (4, 2, 1) if bits % 8 & width]


def _whole(bits: int) -> list[int]:
    """Widths of the planes of whole bytes, which add up to the rest."""
    return [64] if bits == 64 else [width for width in (32, 16, 8) if bits & width]


def _pack_block(words: RingVector, out: Octets, bits: int, scratch: _Scratch) -> None:
    shift = place = 0
    for width in _whole(bits):
        size = words.size * width // 8
        np.copyto(
            out[place : place + size].view(f"<u{width // 8}"),
            _shifted(words, shift, scratch),
            casting="unsafe",  # keeps the low bits, as meant
        )
        shift, place = shift + width, place + size
    if bits % 8:
        octets = scratch.octets[: words.size + 8]
        octets[words.size :] = 0
        np.copyto(octets[: words.size], _shifted(words, shift, scratch), casting="unsafe")
        _pack_narrow(octets, words.size, out[place:], bits, scratch)


def _pack_narrow(octets: Octets, count: int, out: Octets, bits: int, scratch: _Scratch) -> None:
    """The low bits mod 8 of each of `octets` (count, and 8 zeros) as narrow planes into `out`."""
    shift = place = 0
    for width in _narrow(bits):
        size = _plane_size(count, width)
        lanes = _lanes(scratch.lanes, size, width)
        np.right_shift(_lanes(octets, size, width), lanes.dtype.type(shift), out=lanes)
        np.bitwise_and(lanes, _every_byte(width, lanes.dtype), out=lanes)
        _fold(lanes, width)
        out[place : place + size] = scratch.lanes[:size]
        shift, place = shift + width, place + size


def _unpack_block(packed: Octets, words: RingVector, bits: int, scratch: _Scratch, take: Take) -> None:
    shift = place = 0
    for width in _whole(bits):
        size = words.size * width // 8
        take(words, packed[place : place + size].view(f"<u{width // 8}"), shift, scratch)
        shift, place = shift + width, place + size
    if bits % 8:
        take(words, _unpack_narrow(packed[place:], words.size, bits, scratch), shift, scratch)


def _unpack_narrow(packed: Octets, count: int, bits: int, scratch: _Scratch) -> Octets:
    """The (count,) bytes whose low bits mod 8 the narrow planes hold."""
    shift = place = 0
    for width in _narrow(bits):
        size = _plane_size(count, width)
        lanes, octets = _lanes(scratch.lanes, size, width), _lanes(scratch.octets, size, width)
        scratch.lanes[:size] = packed[place : place + size]
        _unfold(lanes, width)
        np.bitwise_and(lanes, _every_byte(width, lanes.dtype), out=octets if shift == 0 else lanes)
        if shift:
            np.left_shift(lanes, lanes.dtype.type(shift), out=lanes)
            np.bitwise_or(octets, lanes, out=octets)
        shift, place = shift + width, place + size
    return scratch.octets[:count]


def _fold(lanes: Lanes, width: int) -> None:
    """Gather the elements of a plane into its first part: halve it, upper half above lower, until full."""
    for shift in (4, 2, 1):
        if shift >= width:
            lower, upper = lanes[: lanes.size // 2], lanes[lanes.size // 2 :]
            np.left_shift(upper, upper.dtype.type(shift), out=upper)
            lanes = np.bitwise_or(lower, upper, out=lower)


def _unfold(lanes: Lanes, width: int) -> None:
    """The reverse: spread the first part over all of `lanes`. Bits above an element's own stay behind."""
    size = lanes.size * width // 8
    for shift in (1, 2, 4):
        if shift >= width:
            np.right_shift(lanes[:size], lanes.dtype.type(shift), out=lanes[size : 2 * size])
            size *= 2


def _lanes(octets: Octets, size: int, width: int) -> Lanes:
    """One byte for each element of a plane of `size` bytes, seen as 64-bit words wherever they line up."""
    part = octets[: size * 8 // width]
    return part.view(np.uint64) if size % 8 == 0 else part


def _every_byte(width: int, lane: np.dtype[Any]) -> Any:
    """A lane with the low `width` bits of each of its bytes set."""
    return lane.type(((1 << width) - 1) * (0x0101010101010101 if lane.itemsize == 8 else 1))


def _shifted(words: RingVector, shift: int, scratch: _Scratch) -> RingVector:
    if shift == 0:
        return words
    return np.right_shift(words, words.dtype.type(shift), out=scratch.words[: words.size])


def _set(words: RingVector, plane: Plane, shift: int, scratch: _Scratch) -> None:
    """Set bits `shift` and up from a plane; the lowest plane comes first and overwrites."""
    if shift == 0:
        np.copyto(words, plane)
    else:
        np.bitwise_or(words, _widened(plane, shift, scratch), out=words)


def _add(words: RingVector, plane: Plane, shift: int, scratch: _Scratch) -> None:
    """Add a plane as bits `shift` and up: planes share no bits, so all of them add the element."""
    np.add(words, _widened(plane, shift, scratch), out=words)


def _widened(plane: Plane, shift: int, scratch: _Scratch) -> RingVector:
    wide = scratch.words[: plane.size]
    np.copyto(wide, plane)
    return np.left_shift(wide, wide.dtype.type(shift), out=wide) if shift else wide
