"""The most memory that a process had, in bytes, whatever unit its system counts in."""

from __future__ import annotations

import resource
import sys

_IN_BYTES = ("darwin",)
"""Systems whose getrusage(2) says bytes; the others of ours say KiB."""


def peak_rss_bytes(*who: int) -> int:
    """The largest resident set so far: of this process, or the largest of those that `resource` names `who`."""
    peak = max(resource.getrusage(each).ru_maxrss for each in who or (resource.RUSAGE_SELF,))
    return peak if sys.platform in _IN_BYTES else peak * 1024
