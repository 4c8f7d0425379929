"""Parts of sentences about coalitions that protocols share."""

from __future__ import annotations


def nodes(count: int) -> str:
    """The compute nodes as members of a coalition."""
    if count == 1:
        return "compute-node-0"
    return f"the compute nodes (each for its slice, all {count} for the whole)"


def assumed(corrupt: int) -> str:
    """Number of owners assumed corrupt, as a sentence."""
    if corrupt == 0:
        return "No owner is assumed corrupt."
    return f"At most {owners(corrupt)} {'is' if corrupt == 1 else 'are'} assumed corrupt."


def owners(count: int) -> str:
    """Number of owners, in words."""
    return {0: "no owner", 1: "1 owner"}.get(count, f"{count} owners")
