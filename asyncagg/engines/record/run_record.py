"""Record that a run leaves, filled as it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asyncagg.learning.owners import Arrays
from asyncagg.protocols.names import Player
from asyncagg.runs.checkpoint import Checkpoint
from asyncagg.runs.result import RunResult
from asyncagg.runs.trace import Trace


@dataclass(slots=True)
class RunRecord:
    """The record of one run; until the run has ended its result says `interrupted`."""

    result: RunResult
    trace: Trace = field(default_factory=Trace)
    means: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Round → the decoded mean, (d,) float64; empty where they are kept on disk, round by round."""
    model: Arrays = field(default_factory=dict)
    """Parameters after the last round."""
    owner_failures: dict[str, dict[Player, int]] = field(default_factory=dict)
    """Reason → owner → in how many rounds its own computation failed so."""
    no_expect: bool = False
    """True if the run is in order although an expectation is not met."""
    folder: Path | None = None
    """The run directory, for what players keep there while they run: accounts, roster, checkpoint, logs."""
    resumed: Checkpoint | None = None
    """Checkpoint at which the run goes on, if it was interrupted."""

    @property
    def elapsed_ns(self) -> int:
        """Time of the run before it was interrupted."""
        return 0 if self.resumed is None else self.resumed.t

    @property
    def ledgers(self) -> Path | None:
        """Folder of the data owners' accounts; None where they are kept in memory."""
        return None if self.folder is None else self.folder / "ledgers"
