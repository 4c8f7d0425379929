"""The classifiers against finite differences and by hand."""

import math

import numpy as np
import pytest

from asyncagg.learning.models import Classifier

SIZES = [(5, 3), (5, 7, 3), (5, 6, 4, 3)]


def problem(sizes: tuple[int, ...]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    draw = np.random.default_rng(7)
    parameters = {name: draw.normal(size=shape) for name, shape in Classifier(sizes).shapes.items()}
    return parameters, draw.normal(size=(11, sizes[0])), draw.integers(0, sizes[-1], 11)


@pytest.mark.parametrize("sizes", SIZES)
def test_gradient_equals_finite_differences(sizes: tuple[int, ...]):
    model = Classifier(sizes)
    parameters, inputs, labels = problem(sizes)
    gradient = model.gradient(parameters, inputs, labels)
    step = 1e-6
    for name, array in parameters.items():
        for place in np.ndindex(array.shape):
            losses = []
            for sign in (1, -1):
                moved = {key: value.copy() for key, value in parameters.items()}
                moved[name][place] += sign * step
                losses.append(model.measure(moved, inputs, labels)["loss"])
            expected = (losses[0] - losses[1]) / (2 * step)
            assert gradient[name][place] == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("sizes", SIZES)
def test_gradient_has_the_names_shapes_and_dtype_of_the_parameters(sizes: tuple[int, ...]):
    model = Classifier(sizes)
    parameters = model.initial(seed=0)
    _, inputs, labels = problem(sizes)
    gradient = model.gradient(parameters, inputs.astype(np.float32), labels)
    assert list(gradient) == list(parameters) == list(model.shapes)
    for name, shape in model.shapes.items():
        assert gradient[name].shape == parameters[name].shape == shape
        assert gradient[name].dtype == parameters[name].dtype == np.float32


def test_gradient_of_parts_averages_to_the_gradient_of_all():
    model = Classifier((5, 7, 3))
    parameters, inputs, labels = problem(model.sizes)
    whole = model.gradient(parameters, inputs, labels)
    first, rest = (model.gradient(parameters, inputs[part], labels[part]) for part in (slice(4), slice(4, 11)))
    for name in whole:
        assert (4 * first[name] + 7 * rest[name]) / 11 == pytest.approx(whole[name])


def test_measure_by_hand():
    model = Classifier((1, 2))
    parameters = {"weight-0": np.array([[1.0, -1.0]]), "bias-0": np.zeros(2)}
    inputs, labels = np.array([[1.0], [1.0], [-2.0]]), np.array([0, 1, 1])
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(2)) + math.log1p(math.exp(-4))) / 3
    assert model.measure(parameters, inputs, labels) == pytest.approx({"loss": expected, "accuracy": 2 / 3})


def test_large_scores_do_not_overflow():
    model = Classifier((1, 2))
    parameters = {"weight-0": np.array([[1e30, -1e30]], np.float32), "bias-0": np.zeros(2, np.float32)}
    inputs, labels = np.ones((1, 1), np.float32), np.array([0])
    assert model.measure(parameters, inputs, labels) == {"loss": 0.0, "accuracy": 1.0}
    assert not model.gradient(parameters, inputs, labels)["weight-0"].any()


def test_initial_parameters_follow_the_seed():
    model = Classifier((64, 64, 10))
    first, again, other = model.initial(1), model.initial(1), model.initial(2)
    for name in ("weight-0", "weight-1"):
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).mean() > 0.99
        assert np.abs(first[name]).max() <= np.float32((6 / 64) ** 0.5)
    assert not first["bias-0"].any()
    assert not np.array_equal(first["weight-0"][:, :10], first["weight-1"])
