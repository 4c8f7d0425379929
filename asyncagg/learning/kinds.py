"""The kinds of workload that a scenario can name, and the building of one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.options import Options
from asyncagg.learning.workload import Workload

KINDS = ("digits", "synthetic", "vectors", "python")


def build(kind: str, *, owners: int, seed: int, rounds: int, base: Path, options: Mapping[str, object]) -> Workload:
    """Builds the workload `kind`: one of `KINDS`.

    `owners` is the population, `base` the folder that relative paths start from (the scenario's), `options`
    the other keys of `[workload]`. Everything random follows `seed`. Raises `WorkloadError` for whatever is
    wrong with the options or with the files they name.
    """
    reader = Options(options)
    match kind:  # imported where used: a run needs one of them
        case "digits":
            from asyncagg.learning import digits

            return digits.workload(owners, seed, reader)
        case "synthetic":
            from asyncagg.learning import synthetic

            return synthetic.workload(owners, seed, reader)
        case "vectors":
            from asyncagg.learning import vectors

            return vectors.workload(owners, rounds, base, reader)
        case "python":
            from asyncagg.learning import python

            return python.workload(owners, seed, base, reader)
    near = difflib.get_close_matches(kind, KINDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(KINDS)}"
    raise WorkloadError(f"no workload {kind!r} ({hint})", "workload.kind")
