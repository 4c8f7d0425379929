"""Partition of a data set's rows among the data owners."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.streams import permutation, stream


def iid(rows: int, shares: Sequence[float], seed: int) -> list[NDArray[np.intp]]:
    """Deals `rows` rows at random, one list of row numbers an owner; every row goes to exactly one owner.

    Owner i gets a part proportional to `shares[i]` > 0, at least one row.
    """
    if len(shares) > rows:
        raise WorkloadError(
            f"{len(shares)} owners share {rows} training examples (at most one owner for each)",
            "owners.count",
        )
    order = permutation(stream(seed, "partition"), rows)
    return np.split(order, np.cumsum(sizes(rows, shares))[:-1])


def sizes(rows: int, shares: Sequence[float]) -> list[int]:
    """Number of the `rows` rows that each owner gets: quotas rounded down, the rest to the largest remainders."""
    largest = max(shares)
    parts = [share / largest for share in shares]  # their sum cannot overflow
    total = math.fsum(parts)
    quotas = [rows * part / total for part in parts]
    counts = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(shares)), key=lambda owner: (counts[owner] - quotas[owner], owner))
    for owner in by_remainder[: rows - sum(counts)]:
        counts[owner] += 1
    if 0 in counts:
        owner = counts.index(0)
        raise WorkloadError(
            f"a share of {shares[owner]:g} leaves data-owner-{owner} none "
            f"of {rows} training examples (each owner needs at least one)",
            "workload.shares",
        )
    return counts
