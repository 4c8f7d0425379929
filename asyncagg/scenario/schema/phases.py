"""The tables `[phases.NAME]`: the phases of a round, and how long each may last."""

from typing import Literal

from pydantic import Field

from asyncagg.scenario.schema.fields import PositiveDuration, Table, in_units, inner
from asyncagg.scenario.values.units import DURATION, SECOND_NS

PhaseName = Literal["publish", "advertise", "share", "upload", "certify", "unmask", "reveal"]
PHASES: tuple[PhaseName, ...] = (
    "publish",
    "advertise",
    "share",
    "upload",
    "certify",
    "unmask",
    "reveal",
)
"""The phases of a round in their order; a protocol has some of them."""


class Phase(Table):
    """When the lead closes a phase."""

    deadline_ns: PositiveDuration = in_units(
        DURATION,
        "deadline",
        30 * SECOND_NS,
        "time until the phase closes without those who have not answered",
    )
    enough: float = Field(
        1.0, gt=0, le=1, description="fraction of answers at which the lead may close the phase early"
    )


class Phases(Table):
    """Every phase of a round, whether the protocol has it or not."""

    publish: Phase = inner(Phase, "parameters to the owners")
    advertise: Phase = inner(Phase, "keys to the lead, the roster back")
    share: Phase = inner(Phase, "shares of secrets between owners")
    upload: Phase = inner(Phase, "masked vectors to the compute nodes")
    certify: Phase = inner(Phase, "owners sign the set of survivors")
    unmask: Phase = inner(Phase, "owners reveal what opens the sum")
    reveal: Phase = inner(Phase, "sums to the model owner")

    def __getitem__(self, name: str) -> Phase:
        """The phase of that name, one of PHASES; KeyError for any other."""
        if name not in PHASES:
            raise KeyError(name)
        phase: Phase = getattr(self, name)
        return phase
