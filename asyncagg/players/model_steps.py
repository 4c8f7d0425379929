"""The steps that the user's model takes, and what it keeps between them; whatever its code raises is told by name."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.learning.owners import Arrays, ModelOwner
from asyncagg.learning.users import RAISED, place_of
from asyncagg.vectors.arrays import ArrayError, as_arrays, as_type

Learnt = tuple[Arrays, Arrays, dict[str, float]]
"""The next parameters, what the model keeps beside them, and figures about it."""


@dataclass(frozen=True, slots=True)
class StepFailed:
    """How the user's model failed."""

    told: str
    """For the others: step, type and place."""
    text: str
    """For the model owner and its result: with the words of what was raised."""
    trace: str


def ready(model: ModelOwner, given: Arrays | None) -> Arrays | StepFailed:
    """What the model keeps before its first round, once it has taken back what it is given; or how it failed."""
    step = "restore"
    try:
        if given is not None:
            model.restore(given)
        step = "state"
        return kept_state(model)
    except RAISED as error:
        return _raised(model, step, error)


def learn(model: ModelOwner, parameters: Arrays, mean: Arrays) -> Learnt | StepFailed:
    """One step along the mean; or how it failed."""
    step = "apply"
    try:
        updated = _updated(parameters, model.apply(copies(parameters), mean))
        step = "evaluate"
        metrics = _figures(model.evaluate(copies(updated)))
        step = "state"
        return updated, kept_state(model), metrics
    except RAISED as error:
        return _raised(model, step, error)


def copies(arrays: Arrays) -> Arrays:
    """Arrays that the user's code may change in place, or has at hand to change: it and the player share none."""
    return {name: np.array(array) for name, array in arrays.items()}


def _updated(former: Arrays, parameters: object) -> Arrays:
    """A copy of the next parameters; TypeError or ValueError where they cannot follow the former ones."""
    if not isinstance(parameters, dict):
        raise TypeError(f"it returned {type(parameters).__name__} (a dict of named arrays)")
    arrays = as_arrays(parameters)
    shapes, wanted = ({name: np.shape(each) for name, each in arrays.items()} for arrays in (arrays, former))
    if shapes != wanted:
        raise ValueError(f"it returned arrays of shapes {shapes} ({wanted}, as before)")
    return {name: _step(name, arrays[name], former[name].dtype) for name in former}


def _step(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy of one array, of the type that it had."""
    try:
        stepped = as_type(array, dtype)
    except ArrayError as error:
        raise ValueError(f"{name!r} was {dtype.name}, and holds {error}") from None
    if not np.isfinite(stepped).all():
        raise ValueError(f"{name!r} has values that are not finite (finite ones; steps too large diverge)")
    return stepped


def kept_state(model: ModelOwner) -> Arrays:
    """A copy of what the model keeps; TypeError where it is not named arrays of plain values."""
    state = model.state()
    if not isinstance(state, dict):
        raise TypeError(f"it returned {type(state).__name__} (a dict of named arrays)")
    return {name: _plain(name, array) for name, array in state.items()}


def _figures(metrics: object) -> dict[str, float]:
    """Figures about the model as floats, whatever kind of numbers they were; TypeError where they are none."""
    if not isinstance(metrics, dict):
        raise TypeError(f"it returned {type(metrics).__name__} (a dict of numbers by name)")
    return {name: _figure(name, value) for name, value in metrics.items()}


def _figure(name: object, value: Any) -> float:
    try:
        if isinstance(name, str) and not isinstance(value, str | bytes):  # float would read a text
            return float(value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{name!r} is of type {type(value).__name__} (a number, by name)")


def _plain(name: object, value: object) -> NDArray[Any]:
    array = np.array(value)
    if not isinstance(name, str) or array.dtype.kind not in "biufc":
        raise TypeError(f"{name!r} is of type {array.dtype} (arrays of numbers or truth values, by name)")
    return array


def _raised(model: ModelOwner, step: str, error: BaseException) -> StepFailed:
    place = place_of(error, getattr(type(model), step))
    told = f"the model owner's {step} raised {type(error).__name__} at {place}"
    return StepFailed(told, f"{told}: {error}", "".join(traceback.format_exception(error)))
