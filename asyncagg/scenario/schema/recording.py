"""The table `[trace]`: how much of a run is written down."""

from typing import Literal

from pydantic import Field

from asyncagg.scenario.schema.fields import Table

Keep = Literal["all", "rounds", "none"]


class TraceSection(Table):
    """Choice of what the trace of a run keeps."""

    keep: Keep = Field(
        "all",
        description="all: everything; rounds: no messages and no computing once their round is over; none: nothing",
    )
