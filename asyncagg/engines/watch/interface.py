"""What there is to see of the players of a process while they run, and what whoever watches them is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from asyncagg.players.base import BasePlayer
from asyncagg.players.follower import Follower
from asyncagg.players.outcome import OwnNote
from asyncagg.protocols.names import Player, role_of
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Record

Status = Literal["starting", "ok", "finished", "failed"]
STATUSES: Final[tuple[Status, ...]] = ("starting", "ok", "finished", "failed")


class Observer:
    """Told what happens to the players of a process. What it does about it is quick, and never raises."""

    def record(self, record: Record) -> None:
        """A player here said or noted something."""

    def round_ended(self, result: RoundResult) -> None:
        """The model owner is here, and a round has ended."""

    def refused(self, address: str, reason: str) -> None:
        """A connection to or from this address was refused: `code: detail`, the code one of `Refusal`."""

    def joined(self, local: str, remote: str) -> None:
        """A channel between a player here and another one stands."""

    def gone(self, local: str, remote: str, reason: str) -> None:
        """It ended, and not by our own doing."""

    def noted(self, note: OwnNote) -> None:
        """A data owner here has something for the eyes of whoever runs it."""

    def turned(self, status: Status, detail: str = "") -> None:
        """The process has come this far: everyone is there, or the run is over."""

    def said(self, line: str) -> None:
        """Something for the person who started the process: who is where, and who is waited for."""


@dataclass(slots=True)
class View(Observer):
    """The players of this process, as they are at any moment."""

    name: str
    """As in config.json: a player, or a range of data owners."""
    players: Callable[[], Sequence[BasePlayer]] = tuple
    """None before they are built."""
    status: Status = "starting"
    over: bool = False
    """Whether the run has ended, as far as the model owner here knows."""

    @property
    def parting(self) -> bool:
        """Whether the run is over for everyone here: who leaves now has nothing left to do."""
        players = self.players()
        ended = [isinstance(player, Follower) and player.ending is not None for player in players]
        return self.over or (bool(ended) and all(ended))

    @property
    def role(self) -> str:
        """Of all players here."""
        return role_of(self.name)

    def peers(self) -> list[Player]:
        """Who is connected to any player here, by name."""
        return sorted({Player(peer): None for player in self.players() for peer in player.channels})

    def turned(self, status: Status, detail: str = "") -> None:
        self.status = status
