"""A protocol as everybody else sees it: its four roles, and every fact that is needed of it before a round.

Engines, scenario, command line, plan and swarm ask a `Protocol` for what they need and never look at its name. A
protocol of your own is one such value; `asyncagg.protocols.registry` finds it by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from asyncagg.protocols.context import Context, Terms
from asyncagg.protocols.effects import Role
from asyncagg.protocols.forecaster import Forecaster
from asyncagg.protocols.messages import COMMON, Message
from asyncagg.protocols.names import Phase, Reveal, Threat
from asyncagg.protocols.parameters.choose import GraphProtocol
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.vectors.ring import RingVector


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Four roles, and what others need to know."""

    name: str
    """Name as a scenario spells it."""
    phases: tuple[Phase, ...]
    """Those it has, in their order; the last but one is the last in which owners speak."""
    owner: Callable[[Context, RingVector], Role[None]]
    """The second argument is the extended vector, which the role masks in place."""
    lead: Callable[[Context], Role[None]]
    node: Callable[[Context], Role[None]]
    receiver: Callable[[Context], Role[Revealed]]
    forecaster: Forecaster
    """Forecast of the cost of an attempt, and of who can open an input."""
    kinds: tuple[type[Message], ...] = ()
    """Messages of its roles, beside those that players exchange whatever the protocol (`messages.COMMON`)."""
    protects: bool = True
    """True if anything is hidden: no account is kept where nothing is."""
    graph: GraphProtocol | None = None
    """Protocol whose rules for neighbours and threshold it uses; None: it has neither."""
    threats: tuple[Threat, ...] = ("curious", "lying")
    """The powers of a lead that it withstands."""
    shares: bool = False
    """True if every compute node holds a share of the whole vector instead of a slice; one honest node protects."""
    reveals: tuple[Reveal, ...] = ("compute-nodes",)
    """Players that may see the sum first; the first one by default."""
    reveals_only: str = ""
    """Reason why it can reveal to nobody else, to stand after "with NAME"."""
    least_nodes: int = 1
    """Fewest compute nodes."""
    completed_by_late_uploads: bool = False
    """True if a vector that arrives after an attempt has failed still completes its sum, beside a retry's."""

    @property
    def all_kinds(self) -> tuple[type[Message], ...]:
        """Every kind of message in a run; any other ends the connection it comes over."""
        return COMMON + self.kinds

    @property
    def takes_threshold(self) -> bool:
        """True if `aggregation.threshold` means something."""
        return self.graph is not None

    @property
    def takes_neighbours(self) -> bool:
        """True if `aggregation.neighbours` means something."""
        return self.graph == "secagg+"

    @property
    def last_spoken(self) -> Phase:
        """The last phase in which owners have something to say."""
        return self.phases[-2]

    def seals_answers(self, terms: Terms) -> bool:
        """True if owners seal their unmask answers to the model owner, which needs a fresh key for that."""
        return "unmask" in self.phases and terms.reveal == "model-owner"
