"""One attempt of a small scenario, played by hand: messages in order, the masks that each player added, the sum."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.keystream import SignedKey, noting
from asyncagg.engines.by_hand.driver import Arrives, Departs, Ends, Expires, HandDriver, Item, Says
from asyncagg.engines.by_hand.driver import Input as Told
from asyncagg.engines.by_hand.setting import HandSetting, Input, Place
from asyncagg.engines.experiment import prepare
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Phase, Player, Threat
from asyncagg.protocols.registry import ProtocolError, find
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.scenario.errors import one_of, quoted
from asyncagg.scenario.reading.load import parse
from asyncagg.vectors.vector_encoder import VectorEncoder

COORDINATES: Final = 2
_CLIP: Final = 1.0
_BITS: Final = 4
_MOST_STEPS: Final = 100_000
"""More than any protocol takes with so few owners: a role that never ends is a mistake in its code."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message, and the phase in which its sender was."""

    phase: Phase
    sender: Player
    receiver: Player
    message: m.Message


@dataclass(frozen=True, slots=True)
class AddedMask:
    """A mask that a player added to what it had, or took off."""

    player: Player
    key: bytes = field(repr=False)
    sign: int


@dataclass
class PlayedRound:
    """Everything that happened. All secrets of all players stand in it: it never leaves this process."""

    setting: HandSetting
    encoder: VectorEncoder
    values: dict[Player, NDArray[np.float64]]
    """Owner → (COORDINATES,) its gradient."""
    lost: Player | None
    """The owner that drops out."""
    said: list[Said] = field(default_factory=list)
    masks: list[AddedMask] = field(default_factory=list)
    unsent: list[AddedMask] = field(default_factory=list)
    """Masks of the lost owner in a vector that it did not send any more: others have them too."""
    revealed: Revealed | None = None
    reason: str = ""
    """Reason why there is no sum."""

    def __repr__(self) -> str:
        return "PlayedRound(redacted)"


class ExplainError(ValueError):
    """A round that cannot be played so; the text says what would be right."""


def play(
    protocol: str, owners: int = 4, drop: Phase | None = None, threat: Threat = "curious", seed: int = 0
) -> PlayedRound:
    """A round of so many owners, the last of which says nothing from the phase `drop` on.

    ScenarioError or ExplainError where the protocol cannot be played so, or is not known.
    """
    try:
        found = find(protocol)
    except ProtocolError as error:
        raise ExplainError(str(error)) from None
    phases = [phase for phase in found.phases if phase not in ("reveal", "certify" if threat == "curious" else "")]
    if drop is not None and drop not in phases:
        raise ExplainError(f"owners of {quoted(protocol)} have no phase {quoted(drop)} ({one_of(phases)})")
    scenario = parse(
        {
            "name": "explain",
            "engine": "sim",
            "seed": seed,
            "owners": {"count": owners},
            "aggregation": {
                "protocol": found.name,
                "compute_nodes": max(2, found.least_nodes),
                "threat": threat,
                "batch": 1,
                "weighting": "uniform",
                "minimum_cohort": 2,
            },
            "encoding": {"bits": _BITS, "clip": _CLIP, "rounding": "nearest"},
            "workload": {"kind": "synthetic", "dimension": COORDINATES},
        }
    )
    experiment = prepare(scenario)
    setting = HandSetting.of(scenario)
    draw = np.random.default_rng(seed)
    values = {owner: draw.uniform(-_CLIP, _CLIP, COORDINATES).round(2) for owner in setting.owners}
    inputs = {owner: Input(experiment.encoder.encode(vector, 1).words, 1) for owner, vector in values.items()}
    played = PlayedRound(
        replace(setting, inputs=inputs), experiment.encoder, values, None if drop is None else setting.owners[-1]
    )
    _Table(played, drop).play()
    return played


class _Table:
    """All roles at one table: what one says, the other hears next."""

    def __init__(self, played: PlayedRound, drop: Phase | None) -> None:
        self.played = played
        self.drop = drop
        self.silent = False
        self.noticed = False
        self.on_the_way: deque[tuple[Player, Says]] = deque()
        self.drivers: dict[Place, HandDriver] = {}

    def play(self) -> None:
        setting = self.played.setting
        for place in setting.places:
            with noting() as noted:
                driver = HandDriver(place, setting.role(place), setting.permissions)
            self.drivers[place] = driver
            self._note(place, driver, noted)
        for _ in range(_MOST_STEPS):
            if self.on_the_way:
                self._deliver(*self.on_the_way.popleft())
            elif not self._let_pass():
                break
        self._close()

    def _deliver(self, sender: Player, says: Says) -> None:
        if self.silent and says.to == self.played.lost:
            return
        for place, what in self._inputs(sender, says.to, says.item):
            self._tell(place, what)

    def _inputs(self, sender: Player, receiver: Player, item: Item | None) -> list[tuple[Place, Told]]:
        """The roles of its receiver that a message is for, and what it is to them; None: the connection is lost."""
        places = [place for place in self.drivers if place.player == receiver]
        if item is None:
            return [(place, Departs(sender, "connection lost")) for place in places]
        kind = m.KINDS[item.kind]
        if kind is m.Failed or kind is m.Excluded:
            reason = str(getattr(item.message(), "reason", ""))
            ended = Ends(reason) if sender == LEAD else Departs(sender, reason)
            return [(place, ended) for place in places]
        return [(place, Arrives(sender, item)) for place in places if place.role == kind.to]

    def _tell(self, place: Place, what: Told) -> None:
        driver = self.drivers[place]
        if driver.end is not None:
            return
        with noting() as noted:
            driver.feed(what)
        self._note(place, driver, noted)

    def _note(self, place: Place, driver: HandDriver, noted: list[SignedKey]) -> None:
        """Keep what a role did until it waited again; of the lost owner what it did before its last phase."""
        if place.player == self.played.lost and self.silent:
            return
        kept = self._until_lost(place, driver)
        said = [(phase, effect) for phase, effect in kept if isinstance(effect, e.Send)]
        fell_silent = self.silent and place.player == self.played.lost
        is_sent = not fell_silent or any(isinstance(effect.message, m.MaskedSlice) for _, effect in said)
        masks = self.played.masks if is_sent else self.played.unsent
        masks += [AddedMask(place.player, key, sign) for key, sign in noted]
        self.played.said += [Said(phase, place.player, effect.to, effect.message) for phase, effect in said]
        sent = [says for says in driver.said if says.item is not None]
        self.on_the_way += [(place.player, says) for says in sent[: len(said)]]
        if driver.farewell is not None and not fell_silent:
            self._part(place, driver.farewell.reason)

    def _part(self, place: Place, reason: str) -> None:
        """A role has failed: the lead ends the attempt for everybody, anybody else its own part in it."""
        for other in [each for each in self.drivers if each.player != place.player]:
            self._tell(other, Ends(reason) if place.role == "lead" else Departs(place.player, reason))

    def _until_lost(self, place: Place, driver: HandDriver) -> list[tuple[Phase, e.Effect]]:
        """Effects of a role, each with its phase; the lost owner falls silent where it enters the phase it drops in."""
        done: list[tuple[Phase, e.Effect]] = []
        for turn in driver.turns:
            phase: Phase = turn.phase
            for effect in turn.effects:
                if isinstance(effect, e.Enter):
                    phase = effect.phase
                if place.player == self.played.lost and phase == self.drop:
                    self.silent = True
                    return done
                done.append((phase, effect))
        return done

    def _let_pass(self) -> bool:
        """Now that nothing else can happen: the loss is noticed, or a deadline of the lead passes; False: the end."""
        if self.silent and not self.noticed:
            self.noticed, lost = True, self.played.setting.owners[-1]
            for other in (*self.played.setting.terms.nodes, MODEL_OWNER):
                self.on_the_way.append((lost, Says(other, None)))
            return True
        lead = next(place for place in self.drivers if place.role == "lead")
        driver = self.drivers[lead]
        if driver.end is not None or not driver.timers:
            return False
        self._tell(lead, Expires(next(iter(driver.timers))))
        return True

    def _close(self) -> None:
        end = self.drivers[Place(MODEL_OWNER, "receiver")].end
        if end is not None and isinstance(end.result, Revealed):
            self.played.revealed = end.result
            return
        reasons = [driver.end.reason for driver in self.drivers.values() if driver.end and driver.end.how == "failed"]
        self.played.reason = reasons[0] if reasons else "the round ended without a sum"
