"""Memory for large payloads, given back and used again.

The first touch of fresh memory costs page faults: 5.4 ms for 4 MiB against 0.07 ms for memory used before.
Whoever has finished with a frame may `release` its payload; whoever does not pays for fresh memory next time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Bytes = NDArray[np.uint8]


class _Lease(np.ndarray[Any, np.dtype[np.uint8]]):
    """Memory while it is lent: a view of its own each time, so that giving back twice is noticed."""

    pool: BufferPool | None = None


class BufferPool:
    """Blocks of memory by exact size, at most `capacity` bytes of them kept. For one thread, the loop's."""

    __slots__ = ("_capacity", "_free", "kept")

    def __init__(self, capacity: int = 64 << 20) -> None:
        self._capacity = capacity
        self._free: dict[int, list[_Bytes]] = {}
        self.kept = 0
        """Bytes that wait for reuse."""

    def take(self, size: int) -> memoryview:
        """`size` bytes of writable memory with no particular contents."""
        lease = self._block(size).view(_Lease)
        lease.pool = self
        return lease.data

    def _block(self, size: int) -> _Bytes:
        blocks = self._free.get(size)
        if not blocks:
            return np.empty(size, np.uint8)
        self.kept -= size
        return blocks.pop()

    def _keep(self, block: _Bytes) -> None:
        size = block.nbytes
        if size > self._capacity:
            return
        mine = self._free.pop(size, [])
        self._free[size] = mine  # now the last: the size that was given back longest ago is dropped first
        while self.kept + size > self._capacity:
            self._drop_one()
        mine.append(block)
        self.kept += size

    def _drop_one(self) -> None:
        size, blocks = next(iter(self._free.items()))
        if blocks:
            self.kept -= blocks.pop().nbytes
        else:
            del self._free[size]


def release(payload: memoryview | bytes | bytearray) -> None:
    """Give a frame's payload back for reuse; nobody may look at it afterwards.

    Harmless for memory that no pool lent and for memory already given back.
    """
    lease = payload.obj if isinstance(payload, memoryview) else None
    if isinstance(lease, _Lease) and lease.pool is not None:
        pool, lease.pool = lease.pool, None
        pool._keep(np.asarray(lease.base))
