"""Sets of owners, slowly: everything a sum may have been over."""

from __future__ import annotations

from itertools import combinations

from asyncagg.protocols.ledger.disclosure import SetRange, bits


def sets_of(range_: SetRange) -> list[int]:
    """All sets of a range."""
    members = bits(range_.members)
    sizes = range(range_.least, len(members) + 1)
    return [sum(1 << unit for unit in chosen) for size in sizes for chosen in combinations(members, size)]
