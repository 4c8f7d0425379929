"""The tables `[phases.NAME]`: the phases of a round, and how long each may last."""

from pydantic import Field

from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.names import PHASES
from asyncagg.scenario.schema.fields import PositiveDuration, Table, in_units, inner
from asyncagg.scenario.values.units import DURATION


class PhaseSection(Table):
    """Conditions on which the lead closes a phase."""

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

    publish: PhaseSection = inner(PhaseSection, "parameters to the owners")
    advertise: PhaseSection = inner(PhaseSection, "keys to the lead, the roster back")
    share: PhaseSection = inner(PhaseSection, "shares of secrets between owners")
    upload: PhaseSection = inner(PhaseSection, "masked vectors to the compute nodes")
    certify: PhaseSection = inner(PhaseSection, "owners sign the set of survivors")
    unmask: PhaseSection = inner(PhaseSection, "owners reveal what opens the sum")
    reveal: PhaseSection = inner(PhaseSection, "sums to the model owner")

    def __getitem__(self, name: str) -> PhaseSection:
        """The phase of that name, one of PHASES; KeyError for any other."""
        if name not in PHASES:
            raise KeyError(name)
        phase: PhaseSection = getattr(self, name)
        return phase
