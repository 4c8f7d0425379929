"""The one error of this package: a workload that cannot be built from what the scenario says."""

from __future__ import annotations


class WorkloadError(Exception):
    """Bad input to a workload.

    `message` says what is wrong and, in brackets, what would be right; `key` is the key of the scenario it
    belongs to (`workload.file`), so that a command line can print `FILE:LINE: key: message`.
    """

    def __init__(self, message: str, key: str = "workload") -> None:
        super().__init__(message, key)  # both in `args`, so that it survives a trip between processes
        self.message = message
        self.key = key

    def __str__(self) -> str:
        return f"{self.key}: {self.message}"
