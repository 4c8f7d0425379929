"""Capture files: written packet by packet, read back as packets and as the bytes that each TCP stream carried.

The format is that of libpcap with times in nanoseconds (draft-ietf-opsawg-pcap): a header of 24 bytes, then for each
packet seconds, nanoseconds and its length twice, and the packet.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

RAW, ETHERNET = 101, 1
"""What a packet begins with: an IP header, or an Ethernet header of 14 bytes before it."""

_MAGIC = 0xA1B23C4D
_FILE, _PACKET = struct.Struct("<IHHiIII"), struct.Struct("<IIII")
_IPV4, _TCP = 0x0800, 6
_SYN = 0x02


class Writer:
    """A new capture file. Each packet is in it as soon as `write` returns."""

    def __init__(self, path: str | Path, kind: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.write(self._file, _FILE.pack(_MAGIC, 2, 4, 0, 0, 65_535, kind))

    def write(self, packet: bytes) -> None:
        """Add a packet, seen now."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        os.write(self._file, _PACKET.pack(seconds, nanoseconds, len(packet), len(packet)) + packet)


@dataclass(frozen=True, slots=True)
class Stream:
    """What one end of a TCP connection sent to the other, in order, each byte once."""

    source: tuple[str, int]
    target: tuple[str, int]
    data: bytes = field(repr=False)


@dataclass(slots=True)
class _Assembly:
    """A stream in the making: bytes at their offset from the first sequence number."""

    first: int
    data: bytearray = field(default_factory=bytearray)

    def put(self, sequence: int, piece: bytes) -> None:
        offset = (sequence - self.first) & 0xFFFFFFFF
        if (
            not piece or offset > 1 << 31
        ):  # nothing, perhaps after the end; or before the first byte, as keep-alives are
            return
        self.data.extend(bytes(max(0, offset + len(piece) - len(self.data))))
        self.data[offset : offset + len(piece)] = piece


class Capture:
    """A capture file, read when asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def packets(self) -> Iterator[bytes]:
        """Every packet as it was seen, link header and all."""
        content = memoryview(self.path.read_bytes())
        self._kind(content)
        at = _FILE.size
        while at < len(content):
            length = _PACKET.unpack_from(content, at)[2]
            at += _PACKET.size
            yield bytes(content[at : at + length])
            at += length

    def streams(self) -> list[Stream]:
        """Both directions of every TCP connection, in the order of their first packets."""
        made: list[tuple[tuple[str, int], tuple[str, int], _Assembly]] = []
        open_now: dict[tuple[tuple[str, int], tuple[str, int]], _Assembly] = {}
        for source, target, sequence, flags, piece in self._segments():
            start = (sequence + (flags & _SYN > 0)) & 0xFFFFFFFF
            assembly = open_now.get((source, target))
            if assembly is None or (flags & _SYN and assembly.first != start):
                assembly = open_now[source, target] = _Assembly(start)
                made.append((source, target, assembly))
            assembly.put(start, piece)
        return [Stream(source, target, bytes(assembly.data)) for source, target, assembly in made]

    def found(self, wanted: Iterable[bytes]) -> list[bytes]:
        """Those of `wanted` that crossed in clear: within a packet, or spread over the packets of a stream."""
        crossed = [*(stream.data for stream in self.streams()), *self.packets()]
        return [piece for piece in wanted if any(piece in data for data in crossed)]

    def holds(self, wanted: bytes) -> bool:
        """Whether these bytes crossed in clear."""
        return bool(self.found([wanted]))

    def _segments(self) -> Iterator[tuple[tuple[str, int], tuple[str, int], int, int, bytes]]:
        """Source, target, sequence number, flags and payload of each TCP segment (RFC 791, RFC 9293)."""
        with self.path.open("rb") as file:
            link = 14 if self._kind(memoryview(file.read(_FILE.size))) == ETHERNET else 0
        for frame in self.packets():
            packet = frame[link:]
            if (link and int.from_bytes(frame[12:14]) != _IPV4) or packet[0] >> 4 != 4 or packet[9] != _TCP:
                continue
            header = (packet[0] & 15) * 4
            segment = packet[header : int.from_bytes(packet[2:4])]
            source_port, target_port, sequence = struct.unpack_from(">HHI", segment)
            source = (str(IPv4Address(packet[12:16])), source_port)
            target = (str(IPv4Address(packet[16:20])), target_port)
            yield source, target, sequence, segment[13], segment[(segment[12] >> 4) * 4 :]

    def _kind(self, content: memoryview) -> int:
        magic, *_, kind = _FILE.unpack_from(content)
        if magic != _MAGIC or kind not in (RAW, ETHERNET):
            raise ValueError(f"{self.path}: not a capture of ours")
        return int(kind)
