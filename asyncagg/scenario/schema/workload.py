"""The table `[workload]`: what the owners hold and what is learnt from it; one set of keys for each kind."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from asyncagg.scenario.schema.fields import LONGEST, ClassName, FilePath, FreeTable, Lengths, Positives, Table

DEFAULT_KIND = "digits"

_MOST_LAYERS = 1000  # their names and shapes, about 50 bytes each, fit well into the body of a message


class WorkloadTable(Table):
    """Base of every kind of workload."""

    def settings(self) -> dict[str, Any]:
        """The workload's own keys and values as a file spells them, without `kind` and without the folder."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"kind", "path"})


class Digits(WorkloadTable):
    """A classifier of the handwritten digits that scikit-learn brings along."""

    kind: Literal["digits"] = Field("digits", description="handwritten digits, nothing to download")
    model: Literal["mlp", "logistic"] = Field("mlp", description="the classifier")
    hidden: Lengths = Field((64,), min_length=1, max_length=_MOST_LAYERS, description="mlp: sizes of the hidden layers")
    learning_rate: float = Field(0.3, gt=0, le=1e30, description="size of the model owner's steps")
    momentum: float = Field(0.8, ge=0, lt=1, description="part of a step that carries over to the next")
    batch_size: int = Field(
        0, ge=0, description="examples in an owner's gradient, drawn each round; absent or 0: all it has"
    )
    partition: Literal["iid"] = Field("iid", description="how the examples are dealt to the owners")
    shares: Positives | None = Field(None, description="relative amount of examples of each owner; absent: equal")

    def settings(self) -> dict[str, Any]:
        """Keys and values without the one partition there is, and without a batch of 0, which is none."""
        left_out = ("partition",) if self.batch_size else ("partition", "batch_size")
        return {key: value for key, value in super().settings().items() if key not in left_out}


class Synthetic(WorkloadTable):
    """Made-up vectors, each of weight 1."""

    kind: Literal["synthetic"] = Field("synthetic", description="made-up vectors")
    dimension: int = Field(1000, ge=1, le=LONGEST, description="coordinates of a vector")


class Vectors(WorkloadTable):
    """Vectors out of a file; nothing is learnt."""

    kind: Literal["vectors"] = Field("vectors", description="vectors out of a file")
    file: FilePath = Field(
        description=".npz with `vectors` (owners × d or rounds × owners × d) and perhaps `weights` (owners,)"
    )


class Python(WorkloadTable):
    """Owners and a model of the user's own."""

    kind: Literal["python"] = Field("python", description="owners and a model of your own")
    owner: ClassName = Field(description='"module:Class", derived from asyncagg.DataOwner')
    model_owner: ClassName = Field(description='"module:Class", derived from asyncagg.ModelOwner')
    options: FreeTable = Field(default_factory=dict, description="arguments of their constructors")
    path: FilePath = Field(
        Path(),
        description="folder of the modules; absent: the scenario's own",
        json_schema_extra={"default": "."},
    )


class HandedOver(WorkloadTable):
    """Owners and a model that a Python program hands over; a file alone cannot be run."""

    kind: Literal["given"] = Field("given", description="owners and a model handed over by `asyncagg.run`")


KINDS: dict[str, type[WorkloadTable]] = {
    "digits": Digits,
    "synthetic": Synthetic,
    "vectors": Vectors,
    "python": Python,
    "given": HandedOver,
}


def _with_kind(given: object) -> object:
    return {"kind": DEFAULT_KIND, **given} if isinstance(given, dict) else given


Workload = Annotated[
    Digits | Synthetic | Vectors | Python | HandedOver, Field(discriminator="kind"), BeforeValidator(_with_kind)
]
"""`[workload]`: the keys depend on `kind`."""
