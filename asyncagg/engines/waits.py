"""Times that players and processes wait for each other: at the end of a run, and after one was lost or restarted."""

from asyncagg.net.durations import SECOND_NS

FAREWELL_NS = 5 * SECOND_NS
"""Longest time that the players of a process may take to notice that the run is over."""
CHILDREN_FAREWELL_NS = FAREWELL_NS + 3 * SECOND_NS
"""Longest time that child processes may take to end in order: their players' farewell, and their own."""
PARTING_NS = 2 * SECOND_NS
"""Longest time that a process on a host of its own, when it gives up, tries to tell the model owner."""
REUNION_NS = SECOND_NS
"""Longest time that a compute node that comes back waits for those who lost it."""
HOSTS_REUNION_NS = 2 * SECOND_NS
"""The same between hosts: longer than the pauses of whoever dials a compute node again."""
