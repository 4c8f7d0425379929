"""The digits: what is read, how it is dealt, and that it is learnt."""

import gzip
import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asyncagg.learning import digits


def rows(examples: digits.Examples) -> set[bytes]:
    return {row.tobytes() for row in examples.inputs}


def test_data_is_scikit_learns():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    expected = sorted((*row, label) for row, label in zip(pixels.tolist(), labels.tolist(), strict=True))
    found = [
        (*row, label)
        for part in digits.load()
        for row, label in zip((part.inputs * 6 + 5).round().tolist(), part.labels.tolist(), strict=True)
    ]
    assert sorted(found) == expected


def test_scikit_learn_is_not_imported():
    code = "import sys; from asyncagg.learning import digits; digits.load(); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_split_is_disjoint_and_the_same_for_ever():
    training, test = digits.load()
    assert (len(training), len(test)) == (1437, 360)
    assert not rows(training) & rows(test)
    assert hashlib.sha256(test.labels.astype(np.uint8).tobytes()).hexdigest()[:16] == "12a179cee9881336"


def test_owners_hold_disjoint_rows_that_make_up_the_training_set(make):
    shards = [make("digits", owners=7).owner(index)._examples for index in range(7)]
    assert sum(len(shard) for shard in shards) == 1437
    assert set().union(*(rows(shard) for shard in shards)) == rows(digits.load()[0])


def test_an_owner_built_alone_equals_the_one_built_among_all(make):
    everyone = make("digits", owners=5, seed=3)
    parameters = everyone.model_owner().initial_parameters()
    gradients = [everyone.owner(index).compute_gradient(parameters, 4) for index in range(5)]
    alone, weight = make("digits", owners=5, seed=3).owner(3).compute_gradient(parameters, 4)
    assert weight == gradients[3][1]
    for name, array in alone.items():
        np.testing.assert_array_equal(array, gradients[3][0][name])


@pytest.mark.parametrize("options", [{}, {"hidden": [32, 16]}, {"model": "logistic"}])
def test_shapes_are_those_of_parameters_and_gradients(make, options):
    workload = make("digits", **options)
    parameters = workload.model_owner().initial_parameters()
    gradient, _ = workload.owner(0).compute_gradient(parameters, 0)
    assert workload.shapes == {name: array.shape for name, array in parameters.items()}
    assert workload.shapes == {name: array.shape for name, array in gradient.items()}
    assert workload.shapes == workload.model_owner().gradient_shapes()
    assert workload.dimension == sum(array.size for array in parameters.values())


def test_the_default_model_is_learnt(make, train):
    _, metrics = train(make("digits"), 40)
    accuracy = [figures["accuracy"] for figures in metrics]
    assert accuracy[0] < 0.5
    assert accuracy[9] > 0.85
    assert min(accuracy[29:]) >= 0.96
    assert metrics[39]["loss"] < 0.15 < metrics[9]["loss"] < metrics[0]["loss"]


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"model": "logistic"}, 0.95),
        ({"hidden": [64, 32]}, 0.95),
        ({"shares": [6, 3, 1]}, 0.95),
        ({"batch_size": 64}, 0.93),
    ],
)
def test_other_models_and_divisions_are_learnt(make, train, options, least):
    _, metrics = train(make("digits", seed=1, **options), 40)
    assert metrics[-1]["accuracy"] >= least


def test_weights_are_numbers_of_examples_and_the_largest_is_known(make):
    workload = make("digits", shares=[6, 3, 1])
    parameters = workload.model_owner().initial_parameters()
    owners = [workload.owner(index) for index in range(3)]
    weights = [owner.compute_gradient(parameters, 0)[1] for owner in owners]
    assert weights == [owner.max_weight for owner in owners] == [862, 431, 144]
    assert workload.max_weight == 862


def test_training_is_the_same_twice_and_differs_by_seed(make, train):
    first, again, other = (train(make("digits", seed=seed, batch_size=32), 3)[0] for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["weight-0"], other["weight-0"])


def test_batches_change_by_round_and_owner_and_stay_when_asked_again(make):
    owners = [make("digits", batch_size=16).owner(index) for index in (0, 1)]
    batches = [owners[0]._batch(0), owners[0]._batch(0), owners[0]._batch(1), owners[1]._batch(0)]
    assert [len(rows(batch)) for batch in batches] == [16] * 4
    assert rows(batches[0]) == rows(batches[1])
    assert len({frozenset(rows(batch)) for batch in batches}) == 3


def test_the_test_set_is_not_among_any_owners_rows(make):
    model_owner = make("digits").model_owner()
    assert not rows(model_owner._test) & rows(make("digits").owner(0)._examples)


def test_private_rows_are_not_shown(make):
    assert "array" not in repr(make("digits").owner(0)._examples)


def test_apply_leaves_the_parameters_alone(make):
    model_owner = make("digits", momentum=0.5, learning_rate=0.1).model_owner()
    parameters = {name: np.ones(shape, np.float32) for name, shape in model_owner.gradient_shapes().items()}
    mean = {name: np.ones(array.shape) for name, array in parameters.items()}
    second = model_owner.apply(model_owner.apply(parameters, mean), mean)
    assert all((array == 1).all() for array in parameters.values())
    assert second["bias-0"] == pytest.approx(1 - 0.1 * (1 + 1.5))
    assert second["bias-0"].dtype == np.float32


def test_more_owners_than_examples(refused):
    error = refused("digits", owners=1438)
    assert str(error) == "owners.count: 1438 owners share 1437 training examples (at most one owner for each)"


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Lets the data be looked for in an empty folder, and forgets it before and after."""
    spec = importlib.util.find_spec("sklearn")
    monkeypatch.setattr(spec, "submodule_search_locations", [str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    digits.load.cache_clear()
    yield tmp_path / "datasets" / "data" / "digits.csv.gz"
    digits.load.cache_clear()


def test_missing_data(elsewhere, refused):
    error = refused("digits")
    assert str(error).startswith("workload.kind: digits is read from scikit-learn, which is not installed (pip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "cannot be read"),
        (gzip.compress(b"1,2,x\n", mtime=0), "cannot be read"),
        (gzip.compress(b"1,2,3\n", mtime=0), "holds 1 rows of 3 numbers"),
        (gzip.compress(b"1,2,3\n4,5,6\n" * 100, mtime=0)[:-12], "cannot be read"),
    ],
    ids=["not gzip", "not numbers", "too small", "cut off"],
)
def test_broken_data(elsewhere: Path, refused, content, message):
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(content)
    error = refused("digits")
    assert error.key == "workload.kind"
    assert message in error.message
