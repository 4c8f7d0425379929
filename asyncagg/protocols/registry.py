"""The protocols by name, and what engines need to know of each before a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from asyncagg.protocols import additive, pairwise, plain
from asyncagg.protocols.context import Context, Terms
from asyncagg.protocols.effects import Role
from asyncagg.protocols.names import Phase
from asyncagg.protocols.secagg import roles
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.vectors.ring import RingVector


@dataclass(frozen=True, slots=True)
class Protocol:
    """Four roles and their phases."""

    name: str
    phases: tuple[Phase, ...]
    owner: Callable[[Context, RingVector], Role[None]]
    """The second argument is the extended vector, which the role masks in place."""
    lead: Callable[[Context], Role[None]]
    node: Callable[[Context], Role[None]]
    receiver: Callable[[Context], Role[Revealed]]
    shares: bool = False
    """Whether every compute node holds a share of the whole vector instead of a slice."""

    def seals_answers(self, terms: Terms) -> bool:
        """Whether owners seal their unmask answers to the model owner, which needs a fresh key for that."""
        return "unmask" in self.phases and terms.reveal == "model-owner"


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("plain", ("publish", "upload", "reveal"), plain.owner, plain.lead, plain.node, plain.receiver),
        Protocol(
            "pairwise",
            ("publish", "advertise", "upload", "reveal"),
            pairwise.owner,
            pairwise.lead,
            pairwise.node,
            pairwise.receiver,
        ),
        Protocol(
            "additive",
            ("publish", "upload", "reveal"),
            additive.owner,
            additive.lead,
            additive.node,
            additive.receiver,
            shares=True,
        ),
        *(
            Protocol(
                name,
                ("publish", "advertise", "share", "upload", "certify", "unmask", "reveal"),
                roles.owner,
                roles.lead,
                roles.node,
                roles.receiver,
            )
            for name in ("secagg", "secagg+")
        ),
    )
}
