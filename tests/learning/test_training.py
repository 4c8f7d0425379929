"""The classifier's model owner hands over its momentum and takes it back."""

import warnings

import numpy as np
import pytest

from asyncagg.learning import ModelOwner

OPTIONS = {"learning_rate": 0.1, "momentum": 0.9}


def test_a_model_goes_on_with_its_momentum(make, train):
    """Training that is cut after three rounds and goes on with a new model owner ends at the same model."""
    workload = make("digits", rounds=5, **OPTIONS)
    expected, figures = train(workload, 5)
    first, second = workload.model_owner(), workload.model_owner()
    parameters = first.initial_parameters()
    for round_index in range(5):
        if round_index == 3:
            second.restore(first.state())
        model_owner = first if round_index < 3 else second
        means = [workload.owner(index).compute_gradient(parameters, round_index) for index in range(3)]
        total = sum(weight for _, weight in means)
        mean = {
            name: sum(weight * np.asarray(gradient[name], np.float64) for gradient, weight in means) / total
            for name in parameters
        }
        parameters = model_owner.apply(parameters, mean)
    assert second.evaluate(parameters) == figures[-1]
    for name, array in expected.items():
        np.testing.assert_array_equal(parameters[name], array)


def test_momentum_makes_a_difference(make):
    first, second = (make("digits", **OPTIONS).model_owner() for _ in range(2))
    parameters = first.initial_parameters()
    mean = {name: np.ones_like(array) for name, array in parameters.items()}
    first.apply(parameters, mean)
    again, fresh = first.apply(parameters, mean), second.apply(parameters, mean)
    assert not any(np.array_equal(again[name], fresh[name]) for name in parameters)


def test_another_models_momentum_is_refused(make):
    model_owner = make("digits", **OPTIONS).model_owner()
    state = model_owner.state()
    name = next(iter(state))
    for bad in (
        {},
        {**state, "more": np.zeros(1, np.float32)},
        {**state, name: state[name].astype(np.float64)},
        {**state, name: state[name][:-1]},
    ):
        with pytest.raises(ValueError, match=r"the velocity has .* \(it must have "):
            model_owner.restore(bad)
    for each, array in model_owner.state().items():
        np.testing.assert_array_equal(array, state[each])


class Forgetful(ModelOwner):
    def initial_parameters(self):
        return {}

    def apply(self, parameters, mean):
        return {}


def test_a_model_keeps_nothing_unless_it_says_so():
    model_owner = Forgetful()
    assert model_owner.state() == {}
    model_owner.restore({})
    with pytest.raises(ValueError, match="one was given \\(velocity; override restore\\)"):
        model_owner.restore({"velocity": np.zeros(3)})


def test_a_model_that_diverges_does_so_without_numpys_warnings(make):
    workload = make("digits", learning_rate=1e30)
    model_owner, owner = workload.model_owner(), workload.owner(0)
    parameters = model_owner.initial_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for round_index in range(3):
            gradient, _ = owner.compute_gradient(parameters, round_index)
            parameters = model_owner.apply(parameters, gradient)
            figures = model_owner.evaluate(parameters)
    assert np.isnan(figures["loss"])


@pytest.mark.parametrize("hidden", [[10**14], [2**31 - 1, 2**31 - 1]])
def test_a_model_that_no_memory_holds(refused, hidden):
    error = refused("digits", hidden=hidden)
    assert error.key == "workload.hidden"
    assert "GiB do not fit into memory" in error.message
