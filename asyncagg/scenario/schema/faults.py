"""The tables `[[faults]]`: what goes wrong, to whom, in which phase and in which rounds."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PlainSerializer, PlainValidator, Strict, Tag, WithJsonSchema

from asyncagg.protocols.names import Phase
from asyncagg.scenario.errors import WrongWithin, show
from asyncagg.scenario.schema.availability import AvailabilityFault
from asyncagg.scenario.schema.fields import Duration, PositiveDuration, Table, in_units
from asyncagg.scenario.values.units import DURATION

SpeakingPhase = Literal["publish", "advertise", "share", "upload", "certify", "unmask"]
"""The phases in which an owner has something to say."""


class Choice(Table):
    """Data owners chosen by the seed: of those in the round, or of all where the fault has a time."""

    correlated_by: Literal["group"] | None = Field(
        None, description="what is chosen: owners, or, with group, whole [[owners.groups]]; the rest are one more"
    )


class ByCount(Choice):
    """Number of players among those in the round, chosen by the seed."""

    count: int = Field(ge=0, description="number of players, chosen by the seed")


class ByFraction(Choice):
    """A fraction of the players in the round, to the nearest number (a half up), chosen by the seed."""

    fraction: float = Field(ge=0, le=1, description="part of the players, chosen by the seed")


class ByProbability(Choice):
    """Each player in the round on its own with this probability."""

    probability: float = Field(ge=0, le=1, description="of each player, drawn from the seed")


CHOICES: dict[str, type[Choice]] = {
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


_PLAYER = r"^(model-owner|(compute-node|data-owner)-(0|[1-9][0-9]*))$"
_Name = Annotated[str, Field(json_schema_extra={"pattern": _PLAYER})]
Names = Annotated[tuple[_Name, ...], Strict(False), Field(min_length=1)]

Players = Annotated[
    Annotated[Names, Tag("names")]
    | Annotated[ByCount, Tag("ByCount")]
    | Annotated[ByFraction, Tag("ByFraction")]
    | Annotated[ByProbability, Tag("ByProbability")],
    Discriminator(_way_to_choose),
]
"""Players that a fault strikes: by name, or a choice among those in the round."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """A set of rounds: spans from first to last, both in it; the last is None where there is no end."""

    spans: tuple[tuple[int, int | None], ...]

    def __contains__(self, number: int) -> bool:
        return any(first <= number and (last is None or number <= last) for first, last in self.spans)

    def meet(self, rounds: int) -> bool:
        """True if one of them is among so many rounds, from 0."""
        return any(first < rounds for first, _ in self.spans)

    @staticmethod
    def parse(value: object) -> "Rounds":
        """Reads "all", a list of round numbers, or "3-5"."""
        match value:
            case "all":
                return ALL_ROUNDS
            case list() | tuple():
                if not value:
                    raise ValueError(f"is empty ({_RIGHT})")
                return Rounds(tuple(_one_round(item, index) for index, item in enumerate(value)))
            case str() if (found := re.fullmatch("([0-9]{1,9})-([0-9]{1,9})", value, re.ASCII)) is not None:
                first, last = int(found[1]), int(found[2])
                if first > last:
                    raise ValueError(f"is {show(value)}, which ends before it starts ({_RIGHT})")
                return Rounds(((first, last),))
        raise ValueError(f"is {show(value)} ({_RIGHT})")

    def format(self) -> str | list[int]:
        """Value that `parse` reads back to the same set."""
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
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
    ]
}

RoundSet = Annotated[
    Rounds, PlainValidator(Rounds.parse), PlainSerializer(Rounds.format), WithJsonSchema(_ROUNDS_SCHEMA)
]
"""Rounds as a file writes them."""


def _rounds() -> Any:
    return Field(ALL_ROUNDS, description='"all", a list, or "3-5"', json_schema_extra={"default": "all"})


def _players() -> Any:
    return Field(description="a list of names, or { count = 2 }, { fraction = 0.3 } or { probability = 0.1 }")


class DropFault(Table):
    """Owners that fall silent for the rest of the round."""

    kind: Literal["drop"] = Field(description="what happens: the players fall silent for the rest of the round")
    players: Players = _players()
    phase: SpeakingPhase = Field(description="the first phase in which the players say nothing")
    rounds: RoundSet = _rounds()


class Event(Table):
    """Something that happens once in each of its rounds, when the lead begins a phase, or once in the run."""

    phase: Phase | None = Field(None, description="the phase at whose start, at the lead, it happens")
    rounds: RoundSet = _rounds()
    at_ns: Duration | None = Field(None, alias="at", description="in place of a phase: time since the start of the run")


class Lasting(Event):
    """Something that may end by itself."""

    lasts_ns: PositiveDuration | None = Field(
        None, alias="lasts", description="time until it ends; absent: it does not"
    )


class SlowFault(Lasting):
    """Players that take longer, to send and to compute."""

    kind: Literal["slow"] = Field(description="what the players send and compute takes longer")
    players: Players = _players()
    factor: float = Field(1.0, ge=1, lt=1e6, description="how many times as long")
    delay_ns: Duration = in_units(DURATION, "delay", 0, "and how much more for each message")


class CrashFault(Lasting):
    """Players that stop; they come back by `lasts` or by `restart`."""

    kind: Literal["crash"] = Field(description="the players stop: connections and the attempt under way are lost")
    players: Players = _players()


class RestartFault(Event):
    """Players that come back."""

    kind: Literal["restart"] = Field(description="players that have stopped come back, for the next attempt or round")
    players: Names | None = Field(None, description="names of players; absent: all that have stopped")
    state: bool = Field(True, description="whether they still have what they kept in memory")


class PartitionFault(Lasting):
    """Two groups that cannot reach each other."""

    kind: Literal["partition"] = Field(description="two groups cannot reach each other; what they send waits")
    players: Players = _players()
    peers: Names | None = Field(None, description="names of the other group; absent: everyone else")


class HealFault(Event):
    """The end of partitions."""

    kind: Literal["heal"] = Field(description="every partition in force ends")


class HoldFault(Lasting):
    """Holds back what players send, in one direction."""

    kind: Literal["hold"] = Field(description="what the players send waits on its way; they are still reached")
    players: Players = _players()
    peers: Names | None = Field(None, description="names of the receivers; absent: everyone else")


class ReleaseFault(Event):
    """The end of holds."""

    kind: Literal["release"] = Field(description="every hold in force ends")


class ResetFault(Event):
    """Connections that break; owners and compute nodes dial compute nodes again."""

    kind: Literal["reset"] = Field(
        description="connections between two groups break; whoever loses the model owner is out"
    )
    players: Players = _players()
    peers: Names | None = Field(None, description="names of the other group; absent: everyone else")


class CorruptFault(Event):
    """Damaged vectors."""

    kind: Literal["corrupt"] = Field(description="one byte of a message changes on its way")
    players: Players = _players()
    frames: int = Field(1, ge=1, le=1_000_000, description="how many messages of each of the players")
    message: str | None = Field(None, description="kind of message, as in the trace; absent: any")


Fault = Annotated[
    DropFault
    | SlowFault
    | CrashFault
    | RestartFault
    | PartitionFault
    | HealFault
    | HoldFault
    | ReleaseFault
    | ResetFault
    | CorruptFault
    | AvailabilityFault,
    Field(discriminator="kind"),
]
"""Anything that `[[faults]]` may hold."""

ON_CHANNELS = (SlowFault, PartitionFault, HealFault, HoldFault, ReleaseFault, ResetFault, CorruptFault)
"""Those that act on channels."""
