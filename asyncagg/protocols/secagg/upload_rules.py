"""The lead takes complaints during the upload, and ends the attempt where the rules of `complaints` say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from asyncagg.protocols import messages as m
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import Guilt, Player
from asyncagg.protocols.secagg.complaints import Standing
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.steps.lead import UploadRules


class ComplaintRules(UploadRules):
    """One attempt's complaints.

    An owner's complaint is on the channel to the lead before its slice for compute node 0, which is the same player: so
    the lead has it before that owner can be in the sum.
    """

    kinds = (m.Complaint,)

    def __init__(self, session: Session, sharers: Iterable[Player]) -> None:
        self.complaints: dict[Player, tuple[Player, ...]] = {}
        self._session = session
        self._standing = Standing(session.dealing(sharers))

    @property
    def guilty(self) -> Mapping[Player, Guilt]:
        return self._standing.guilty

    def said(self, owner: Player, message: m.Message) -> str | None:
        if not isinstance(message, m.Complaint):
            return None
        try:
            dealers = self._session.context.players_in(message.dealers)
        except m.MessageError as error:
            return str(error)
        held = self._standing.dealing.holders[owner]
        if not dealers or any(dealer == owner or dealer not in held for dealer in dealers):
            return "its complaint is about boxes that it was not given"
        self.complaints[owner] = dealers
        self._standing.complain(owner, dealers)
        if owner in self.guilty and len(dealers) > self._session.most_corrupt:
            return f"complained of {len(dealers)} dealers, of which at most {self._session.most_corrupt} are corrupt"
        return None

    def lost(self, owner: Player) -> None:
        self._standing.lose(owner)

    def check(self) -> None:
        excluded = self._standing.excluded() if self._standing.doomed else {}
        if excluded:
            raise Rejected(self._out_of_reach(), excluded)

    def require_holders(self) -> None:
        """Rejected where a secret of U2 is out of reach although nobody is at fault."""
        if self._standing.doomed:
            raise Rejected(self._out_of_reach())

    def _out_of_reach(self) -> str:
        dealer = next(iter(self._standing.doomed))
        left, needed = self._standing.left(dealer), self._session.threshold
        return f"{left} holders of the secrets of {dealer} are left, the threshold is {needed}"
