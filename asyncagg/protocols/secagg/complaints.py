"""Rules that find who is at fault when boxes do not open and shares run out, from complaints alone.

An owner that cannot use a box complains of its dealer, once, before it uploads. c* bounds the corrupt holders of one
owner's secrets, and it is at least 1. In this order:

    R1  Who complains of more than c* dealers is guilty and out, and its complaints are void.
    R2  A dealer of whom more than c* holders complain is guilty.
    R3  While every secret of U2 has t holders that neither are lost nor complain of it, the round goes on.
    R4  Else the attempt ends before there are any survivors. All the guilty are excluded. Then, by number, each dealer
        whose secret is out of reach and that has no verdict yet: of its complainers the excluded do not count; if
        there is one left, it and the dealer are excluded both.

Why: the lead follows the protocol, and at most c* holders of a secret are corrupt. An honest owner complains of corrupt
dealers only, so R1 never hits it; among more than c* complainers one is honest, so R2 hits no honest dealer either. The
two of R4 contradict each other about one delivered message, so one of them is corrupt, and as pairs are disjoint, no
more honest owners are ever excluded than corrupt ones. Each attempt that fails for this costs the coalition an owner.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from asyncagg.protocols.names import Guilt, Player, index_of


@dataclass(frozen=True, slots=True)
class Dealing:
    """Holders of the shares of each owner of U2. Whoever holds A's has its own held by A."""

    holders: Mapping[Player, Collection[Player]]
    """Dealer → the holders of its secrets, in order of index; the dealers are in order of index too."""
    threshold: int
    """t."""
    most_corrupt: int
    """c*."""


class Standing:
    """State of the rules, one event at a time: secrets that can still be rebuilt, and owners found guilty.

    A complaint costs as many steps as it names dealers, a loss as many as the lost owner holds secrets.
    """

    def __init__(self, dealing: Dealing) -> None:
        self.dealing = dealing
        self.guilty: dict[Player, Guilt] = {}
        self.doomed: dict[Player, None] = {}
        """Dealers whose secrets are out of reach, in the order in which they came to be."""
        self._left = {dealer: len(holders) for dealer, holders in dealing.holders.items()}
        self._lost: dict[Player, None] = {}
        self._complainers: dict[Player, dict[Player, None]] = {}
        for dealer in self._left:
            self._look(dealer)

    def left(self, dealer: Player) -> int:
        """Holders whose share of this dealer's secrets can still be had."""
        return self._left[dealer]

    def lose(self, holder: Player) -> None:
        """Note that this holder will answer for nobody."""
        if holder not in self._lost:
            self._lost[holder] = None
            for dealer in self.dealing.holders[holder]:
                if holder not in self._complainers.get(dealer, ()):
                    self._one_fewer(dealer)

    def complain(self, holder: Player, dealers: Collection[Player]) -> None:
        """Note that this holder cannot use the boxes of these dealers, whose secrets it holds."""
        if len(dealers) > self.dealing.most_corrupt:  # R1
            self.guilty.setdefault(holder, "false-complaints")
            self.lose(holder)
            return
        for dealer in dealers:
            complainers = self._complainers.setdefault(dealer, {})
            complainers[holder] = None
            if len(complainers) > self.dealing.most_corrupt:  # R2
                self.guilty.setdefault(dealer, "bad-boxes")
            if holder not in self._lost:
                self._one_fewer(dealer)

    def answered_wrong(self, holder: Player, dealer: Player) -> None:
        """Note that this holder answered with another share than the dealer tagged."""
        self.guilty.setdefault(holder, "wrong-shares")
        self._one_fewer(dealer)

    def dealt_wrong(self, dealer: Player) -> None:
        """All shares are those that this dealer tagged, and they do not make the secret it committed to."""
        self.guilty.setdefault(dealer, "false-dealing")

    def excluded(self) -> dict[Player, Guilt]:
        """Owners that R4 excludes if the attempt ends here; nobody, where owners were simply too few."""
        out = dict(self.guilty)
        for dealer in sorted(self.doomed, key=index_of):
            complainers = sorted(self._complainers.get(dealer, ()), key=index_of)
            accuser = next((holder for holder in complainers if holder not in out), None)
            if dealer not in out and accuser is not None:
                out[dealer] = out[accuser] = "contradiction"
        return out

    def _one_fewer(self, dealer: Player) -> None:
        self._left[dealer] -= 1
        self._look(dealer)

    def _look(self, dealer: Player) -> None:
        if self._left[dealer] < self.dealing.threshold:
            self.doomed[dealer] = None
