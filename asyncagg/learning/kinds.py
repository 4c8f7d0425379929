"""The kinds of workload that a scenario can name, and the building of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.workload import Workload

KINDS = ("digits", "synthetic", "vectors", "python")


def build(kind: str, *, owners: int, seed: int, rounds: int, base: Path, options: Mapping[str, Any]) -> Workload:
    """Builds the workload `kind`: one of `KINDS`.

    `owners` is the population, `base` the folder that relative paths start from (the scenario's), `options`
    the other keys of `[workload]`, whose types and bounds the scenario's schema has checked. Everything random
    follows `seed`. Raises `WorkloadError` for what only the data, files or classes they name can show to be wrong.
    """
    match kind:  # imported where used: a run needs one of them
        case "digits":
            from asyncagg.learning import digits

            return digits.workload(owners, seed, **options)
        case "synthetic":
            from asyncagg.learning import synthetic

            return synthetic.workload(owners, seed, **options)
        case "vectors":
            from asyncagg.learning import vectors

            return vectors.workload(owners, rounds, base, **options)
        case "python":
            from asyncagg.learning import python

            return python.workload(owners, seed, base, **options)
        case "given":
            right = "asyncagg.run with owners and model_owner, or another kind"
            raise WorkloadError(f'is "given", whose owners come from a Python program ({right})', "workload.kind")
    raise WorkloadError(f"is {kind!r} (one of {', '.join(KINDS)})", "workload.kind")
