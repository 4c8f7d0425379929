"""The sums that `asyncagg explain` prints, read back and added up."""

from __future__ import annotations

import re

SUM = re.compile(r"coordinate (\d): (.*) = (\d+) mod (\d+) \((.*)\)$")
TERM = re.compile(r"(- |\+ )?(\d+) \(([^()]*)\)")

Parsed = tuple[int, list[tuple[int, str]], int, int, str]


def told(text: str) -> list[Parsed]:
    """Every printed sum: coordinate, signed terms with their meanings, total, modulus, meaning."""
    found = []
    for line in text.splitlines():
        match = SUM.match(line.strip())
        if match:
            terms = [
                (-int(value) if sign == "- " else int(value), meaning)
                for sign, value, meaning in TERM.findall(match[2])
            ]
            found.append((int(match[1]), terms, int(match[3]), int(match[4]), match[5]))
    return found


def add_up(text: str) -> None:
    """Each sum by itself, and what one sum says of another: sent is added, encoded is the sum of the sums."""
    sums = told(text)
    sent: dict[tuple[str, int], int] = {}
    at_nodes: dict[int, int] = {}
    for coordinate, terms, total, size, meaning in sums:
        assert sum(value for value, _ in terms) % size == total
        if meaning.startswith("sent by "):
            sent[meaning.removeprefix("sent by "), coordinate] = total
        for value, of in terms:
            if of.startswith("from "):
                assert sent[of.removeprefix("from "), coordinate] == value
        if meaning.startswith("sum at compute-node"):
            at_nodes[coordinate] = (at_nodes.get(coordinate, 0) + total) % size
        if meaning == "sum at the model owner":
            assert total == at_nodes[coordinate]
