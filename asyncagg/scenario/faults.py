"""The tables `[[faults]]`: what goes wrong, to whom, in which phase and in which rounds."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PlainSerializer, PlainValidator, Strict, Tag, WithJsonSchema

from asyncagg.scenario.errors import WrongWithin, show
from asyncagg.scenario.fields import Table

SpeakingPhase = Literal["publish", "advertise", "share", "upload", "certify", "unmask"]
"""The phases in which an owner has something to say."""


class ByCount(Table):
    """So many players of those in the round, chosen by the seed."""

    count: int = Field(ge=0, description="number of players, chosen by the seed")


class ByFraction(Table):
    """A fraction of the players in the round, to the nearest number (a half up), chosen by the seed."""

    fraction: float = Field(ge=0, le=1, description="part of the players, chosen by the seed")


class ByProbability(Table):
    """Each player in the round on its own with this probability."""

    probability: float = Field(ge=0, le=1, description="of each player, drawn from the seed")


CHOICES: dict[str, type[Table]] = {
    "count": ByCount,
    "fraction": ByFraction,
    "probability": ByProbability,
}


def _way_to_choose(given: object) -> str | None:
    if isinstance(given, list | tuple):
        return "names"
    if isinstance(given, dict):
        return next((choice.__name__ for key, choice in CHOICES.items() if key in given), None)
    return type(given).__name__ if isinstance(given, Table) else None


Names = Annotated[tuple[str, ...], Strict(False)]

Players = Annotated[
    Annotated[Names, Tag("names")]
    | Annotated[ByCount, Tag("ByCount")]
    | Annotated[ByFraction, Tag("ByFraction")]
    | Annotated[ByProbability, Tag("ByProbability")],
    Discriminator(_way_to_choose),
]
"""Whom a fault strikes: players by name, or a choice among those in the round."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """A set of rounds: spans from first to last, both in it; the last is None where there is no end."""

    spans: tuple[tuple[int, int | None], ...]

    def __contains__(self, number: int) -> bool:
        return any(first <= number and (last is None or number <= last) for first, last in self.spans)

    @staticmethod
    def parse(value: object) -> "Rounds":
        """Reads "all", a list of round numbers, or "3-5"."""
        match value:
            case "all":
                return ALL_ROUNDS
            case list() | tuple():
                return Rounds(tuple(_one_round(item, index) for index, item in enumerate(value)))
            case str() if (found := re.fullmatch("([0-9]{1,9})-([0-9]{1,9})", value, re.ASCII)) is not None:
                first, last = int(found[1]), int(found[2])
                if first > last:
                    raise ValueError(f"is {show(value)}, which ends before it starts ({_RIGHT})")
                return Rounds(((first, last),))
        raise ValueError(f"is {show(value)} ({_RIGHT})")

    def format(self) -> str | list[int]:
        """What `parse` reads back to the same set."""
        match self.spans:
            case ((0, None),):
                return "all"
            case ((int(first), int(last)),) if first < last:
                return f"{first}-{last}"
        return [first for first, _ in self.spans]


_RIGHT = '"all", a list such as [0, 2], or a span such as "3-5"; the first round is 0'
ALL_ROUNDS = Rounds(((0, None),))


def _one_round(value: object, index: int) -> tuple[int, int]:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WrongWithin((index,), f"is {show(value)} (the number of a round, from 0)")
    return value, value


_ROUNDS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"const": "all"},
        {"type": "string", "pattern": "^[0-9]+-[0-9]+$"},
        {"type": "array", "items": {"type": "integer", "minimum": 0}},
    ]
}

RoundSet = Annotated[
    Rounds, PlainValidator(Rounds.parse), PlainSerializer(Rounds.format), WithJsonSchema(_ROUNDS_SCHEMA)
]
"""Rounds as a file writes them."""


class Drop(Table):
    """Owners that fall silent for the rest of the round."""

    kind: Literal["drop"] = Field(description="what happens: the players fall silent for the rest of the round")
    players: Players = Field(
        description="a list of names, or { count = 2 }, { fraction = 0.3 } or { probability = 0.1 }"
    )
    phase: SpeakingPhase = Field(description="the first phase in which the players say nothing")
    rounds: RoundSet = Field(ALL_ROUNDS, description='"all", a list, or "3-5"', json_schema_extra={"default": "all"})


Fault = Drop
"""Anything that `[[faults]]` may hold."""
