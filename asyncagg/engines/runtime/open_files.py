"""Files that a run may hold open: sockets count among them, and a system's limit is lower than many think."""

from __future__ import annotations

import resource

from asyncagg.net.errors import NetError
from asyncagg.scenario.schema.scenario import Scenario

SPARE = 32
"""Open files beside those that a run was seen to need: Python's, the user's own code's and the run directory's."""


class TooFewFiles(NetError):
    """The system lets this process open fewer files than the run needs."""


def of_one_process(scenario: Scenario, fleets: int) -> int:
    """Sockets of a run whose players all live here, `fleets` of data owners, both ends of every connection."""
    nodes = scenario.aggregation.compute_nodes
    listeners = nodes + 1
    of_owners, of_lead, of_model_owner = fleets * (nodes + 1), nodes - 1, nodes
    return listeners + 2 * (of_owners + of_lead + of_model_owner)


def of_parent(children: int) -> int:
    """Files of a process with so many children: of each its line and its pipe. A child needs no more."""
    return 2 * children + 8


def allow(needed: int) -> None:
    """Have the system let `needed` more files than usual be open. TooFewFiles where it does not."""
    needed += SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewFiles(f"this run needs {needed} open files, and may have {hard} (ulimit -n {needed})")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
