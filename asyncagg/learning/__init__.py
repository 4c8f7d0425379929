"""Models, data sets and workloads: what is trained, and on whose data. Knows nothing of aggregation.

A user writes two classes (`owners`). A `DataOwner` holds data and computes a gradient and its weight; a `ModelOwner`
holds the model, publishes parameters and takes a step with the mean of the gradients. A `Workload` (`workload`) is
what an experiment trains on: it builds one owner at a time, wherever that owner lives, and tells the shapes and the
largest weight beforehand. `kinds` builds the workload that a scenario names:

    digits       handwritten digits, dealt out by `partition`; `models` are the classifiers, `training` their owners
    synthetic    made-up vectors of any length, where learning is beside the point
    vectors      vectors out of a file, or given as arrays
    python       classes of the user's own, imported from the scenario's folder

The user's code may raise anything, exit, or never return: `users` tells what it raised in one line with the place.
Types and bounds of options are checked by the scenario's schema; here is checked what takes data, files or classes to
know. Randomness comes from streams by label (`streams`), so that a row or an owner more shifts nobody else's.
"""

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.kinds import KINDS, build
from asyncagg.learning.owners import Arrays, DataOwner, ModelOwner, Shapes
from asyncagg.learning.workload import Workload, given

__all__ = [
    "KINDS",
    "Arrays",
    "DataOwner",
    "ModelOwner",
    "Shapes",
    "Workload",
    "WorkloadError",
    "build",
    "given",
]
