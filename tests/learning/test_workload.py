"""Workloads whatever their kind."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asyncagg import learning
from asyncagg.learning import DataOwner, ModelOwner, WorkloadError, given


class Two(DataOwner):
    def __init__(self, weight: int = 1) -> None:
        self.max_weight = weight

    def compute_gradient(self, parameters, round):
        return {"a": np.ones((2, 2)), "b": np.ones(())}, self.max_weight


class Model(ModelOwner):
    def initial_parameters(self):
        return {"a": np.zeros((2, 2)), "b": np.zeros(())}

    def apply(self, parameters, mean):
        return {name: array + mean[name] for name, array in parameters.items()}


def test_unknown_kind(refused):
    assert str(refused("digit")) == "workload.kind: is 'digit' (one of digits, synthetic, vectors, python)"


@pytest.mark.parametrize("index", [-1, 3])
def test_an_owner_outside_the_population(make, index):
    with pytest.raises(ValueError, match=f"no data-owner-{index} in a population of 3"):
        make("synthetic").owner(index)


def test_given_players_are_used_as_they_are(train):
    owners, model_owner = [Two(3), Two(5)], Model()
    workload = given(owners, model_owner)
    assert [workload.owner(0), workload.owner(1)] == owners
    assert workload.model_owner() is model_owner
    assert (workload.population, workload.max_weight, workload.dimension) == (2, 5, 5)
    assert workload.shapes == {"a": (2, 2), "b": ()}
    assert model_owner.evaluate({}) == {}
    assert train(workload, 3)[0]["b"] == 3


@pytest.mark.parametrize(
    ("owners", "model_owner", "message"),
    [
        ([], Model(), "owners: the list is empty (at least one asyncagg.DataOwner)"),
        ([Two(), 3], Model(), "owners: owners[1] is of type int (an asyncagg.DataOwner)"),
        ([Two(0)], Model(), "owners: max_weight of data-owner-0 is 0 (it must be a positive integer)"),
        ([Two(1.5)], Model(), "owners: max_weight of data-owner-0 is 1.5 (it must be a positive integer)"),
        ([Two()], Two(), "model_owner: is of type Two (an asyncagg.ModelOwner)"),
    ],
)
def test_given_players_of_the_wrong_kind(owners, model_owner, message):
    with pytest.raises(WorkloadError) as caught:
        given(owners, model_owner)
    assert str(caught.value) == message


def test_an_error_survives_a_trip_between_processes():
    error = pickle.loads(pickle.dumps(WorkloadError("is wrong (right)", "workload.file")))  # noqa: S301
    assert (error.message, error.key, str(error)) == (
        "is wrong (right)",
        "workload.file",
        "workload.file: is wrong (right)",
    )


def test_importing_the_package_brings_numpy_and_nothing_else():
    code = (
        "import sys, types; before = set(sys.modules); parent = types.ModuleType('asyncagg'); "
        f"parent.__path__ = {[str(Path(learning.__file__).parents[1])]}; sys.modules['asyncagg'] = parent; "
        "import asyncagg.learning; new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['asyncagg', 'numpy']\n"
