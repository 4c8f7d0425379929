"""What the learning tests share: training by plain averaging, without any aggregation protocol."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from asyncagg.learning import Arrays, Workload, WorkloadError, build

Train = Callable[[Workload, int], tuple[Arrays, list[dict[str, float]]]]


def weighted_mean(gradients: list[tuple[Arrays, int]]) -> Arrays:
    total = sum(weight for _, weight in gradients)
    names = gradients[0][0]
    return {
        name: sum(weight * np.asarray(gradient[name], np.float64) for gradient, weight in gradients) / total
        for name in names
    }


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """As in every engine: products of small matrices are no faster on more, and vary with their number."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def train() -> Train:
    """Runs rounds over all owners; returns the last parameters and every round's metrics."""

    def run(workload: Workload, rounds: int) -> tuple[Arrays, list[dict[str, float]]]:
        owners = [workload.owner(index) for index in range(workload.population)]
        model_owner = workload.model_owner()
        parameters = model_owner.initial_parameters()
        metrics = []
        for round_index in range(rounds):
            gradients = [owner.compute_gradient(parameters, round_index) for owner in owners]
            parameters = model_owner.apply(parameters, weighted_mean(gradients))
            metrics.append(model_owner.evaluate(parameters))
        return parameters, metrics

    return run


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Workload]:
    """Builds a workload for three owners, seed 0 and one round in an empty folder, unless told otherwise."""

    def call(kind: str, *, owners: int = 3, seed: int = 0, rounds: int = 1, **options: object) -> Workload:
        return build(kind, owners=owners, seed=seed, rounds=rounds, base=tmp_path, options=options)

    return call


@pytest.fixture
def refused(make: Callable[..., Workload]) -> Callable[..., WorkloadError]:
    """The error that a workload is refused with."""

    def call(kind: str, **arguments: object) -> WorkloadError:
        with pytest.raises(WorkloadError) as caught:
            make(kind, **arguments)
        assert "\n" not in str(caught.value)
        return caught.value

    return call
