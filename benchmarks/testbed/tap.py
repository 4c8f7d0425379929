"""A process that writes down every frame that enters the switch of a testbed, before the switch delays or loses it.

    ip netns exec SWITCH python -m benchmarks.testbed.tap FILE BRIDGE     says `ready` when it begins

It ends when its standard input does, with status 1 and a complaint if it could not keep up
(PACKET_STATISTICS of packet(7)).
"""

from __future__ import annotations

import select
import socket
import struct
import sys

from benchmarks.testbed.pcap import ETHERNET, Writer

_ALL = 3  # ETH_P_ALL
_PACKETS, _STATISTICS = 263, 6  # SOL_PACKET, PACKET_STATISTICS
_FORCED_BUFFER = 33  # SO_RCVBUFFORCE: beyond net.core.rmem_max
_BUFFER = 64 << 20
_LONGEST = 65_549  # an IP packet and its Ethernet header


def tap(path: str, bridge: str, lifeline: int) -> int:
    """Write down frames until the lifeline ends; how many went past unseen."""
    capture = Writer(path, ETHERNET)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as seen:
        seen.setsockopt(socket.SOL_SOCKET, _FORCED_BUFFER, _BUFFER)
        print("ready", flush=True)
        while True:
            ready = select.select([lifeline, seen.fileno()], [], [])[0]
            if seen.fileno() in ready:
                frame, (device, _, direction, *_) = seen.recvfrom(_LONGEST)
                if direction != socket.PACKET_OUTGOING and device != bridge:  # else it would be there twice
                    capture.write(frame)
            elif lifeline in ready:
                return int(struct.unpack("II", seen.getsockopt(_PACKETS, _STATISTICS, 8))[1])


def main() -> None:
    path, bridge = sys.argv[1:]
    if missed := tap(path, bridge, sys.stdin.fileno()):
        sys.exit(f"{path}: {missed} frames are missing")


if __name__ == "__main__":
    main()
