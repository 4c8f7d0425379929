"""Entries of an account: an attempt whose sum became known, or may have. Each is one line of JSON.

An account is a file that only grows: a first line with its format and the size of the population, then an entry a
line, in the order in which things happened. A later entry of the same attempt takes the place of an earlier one:

    possible    an upload is about to start: the sum may become known, over any large enough part of the set
    known       the survivors are fixed, and the sum over exactly them becomes known
    withdrawn   the attempt failed before any upload: there is no sum
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from asyncagg.protocols.names import Label
from asyncagg.version import FORMAT

State = Literal["known", "possible", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Note of one attempt."""

    label: Label
    parameters: bytes
    """Digest of the parameters that the inputs were computed on."""
    members: int
    """The survivors, bit i for owner i; while they are not known, all who may be among them."""
    least: int
    """Fewest of `members` that the sum may hold; all of them where the set is exact."""
    state: State

    @classmethod
    def known(cls, owners: int, label: Label, parameters: bytes, members: bytes) -> Entry:
        """Of the sum over exactly these of so many owners (a bitmap); ValueError unless it is a set of some of them."""
        value = int.from_bytes(members, "little")
        if len(members) != (owners + 7) // 8 or value >> owners or not value:
            raise ValueError(f"not a set of some of the {owners} owners: {members[:16].hex()}")
        return cls(label, parameters, value, value.bit_count(), "known")

    @classmethod
    def possible(cls, owners: int, label: Label, parameters: bytes, members: bytes, least: int) -> Entry:
        """Of a sum over at least `least` of these owners that may become known.

        Raises:
            ValueError: as `known`, or `least` is not from 1 to all of them.
        """
        everyone = cls.known(owners, label, parameters, members)
        if not 1 <= least <= everyone.least:
            raise ValueError(f"{least} of {everyone.least} owners: must be at least 1 and at most all")
        return replace(everyone, least=least, state="possible")

    def line(self) -> str:
        """JSON text of the entry on one line, without the end of it."""
        return _json(
            {
                "round": self.label.round,
                "attempt": self.label.attempt,
                "parameters": self.parameters.hex(),
                "members": f"{self.members:x}",
                "least": self.least,
                "state": self.state,
            }
        )


def first_line(owners: int) -> str:
    """First line of the account of a player in a population of so many, without the end of the line."""
    return _json({"format": FORMAT, "owners": owners})


def check_first_line(line: str, owners: int) -> None:
    """ValueError, saying what is wrong, unless an account in this population begins so."""
    head = _object(line)
    if head is None or head.get("format") != FORMAT:
        raise ValueError(f"not an account of format {FORMAT}")
    if head.get("owners") != owners:
        raise ValueError(f"an account of {head.get('owners')} owners, the population has {owners}")


def read_line(line: str, owners: int) -> Entry:
    """The entry whose `line` this is; ValueError if anything about it is wrong."""
    said = _object(line)
    if said is None or set(said) != {"round", "attempt", "parameters", "members", "least", "state"}:
        raise ValueError("not an entry of an account")
    numbers = [said[name] for name in ("round", "attempt", "least")]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("an entry with a wrong number")
    try:
        parameters, members = bytes.fromhex(said["parameters"]), int(said["members"], 16)
    except (ValueError, TypeError):
        raise ValueError("an entry with a wrong text") from None
    entry = Entry(Label(said["round"], said["attempt"]), parameters, members, said["least"], said["state"])
    if not _sound(entry, owners):
        raise ValueError("an entry of no set of owners")
    return entry


def _sound(entry: Entry, owners: int) -> bool:
    count = entry.members.bit_count()
    if entry.members <= 0 or entry.members >> owners or not 1 <= entry.least <= count:
        return False
    return entry.state in ("possible", "withdrawn") or (entry.state == "known" and entry.least == count)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
