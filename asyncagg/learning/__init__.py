"""Models, data sets and workloads: what is trained, and on whose data. Knows nothing of aggregation."""

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
