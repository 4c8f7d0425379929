"""Classifiers in plain numpy: logistic regression, and perceptrons with any hidden layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asyncagg.learning.owners import Arrays, Shapes
from asyncagg.learning.streams import stream, uniform

Floats: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Classifier:
    """Dense layers of `sizes` units, rectified between them, trained by mean softmax cross-entropy.

    `sizes` starts with the number of features and ends with the number of classes; with nothing between
    them it is logistic regression. Layer i has parameters `weight-i` (inputs × outputs) and `bias-i`
    (outputs,). All arithmetic is in the dtype of the parameters and inputs.
    """

    sizes: tuple[int, ...]

    @property
    def shapes(self) -> Shapes:
        """Names and shapes of the parameters, and so of a gradient."""
        shapes: Shapes = {}
        for layer, (inputs, outputs) in enumerate(pairwise(self.sizes)):
            shapes[f"weight-{layer}"] = (inputs, outputs)
            shapes[f"bias-{layer}"] = (outputs,)
        return shapes

    def initial(self, seed: int) -> Arrays:
        """Float32 parameters to start from: weights uniform in ±√(6 / inputs) (He et al. 2015), biases 0."""
        parameters: Arrays = {}
        for name, shape in self.shapes.items():
            if len(shape) == 1:
                parameters[name] = np.zeros(shape, np.float32)
            else:
                parameters[name] = uniform(stream(seed, "initial", name), shape, (6 / shape[0]) ** 0.5)
        return parameters

    def gradient(self, parameters: Mapping[str, Floats], inputs: Floats, labels: Labels) -> Arrays:
        """The gradient of the loss at `parameters` over `inputs` (examples × features) and their `labels`."""
        activations = self._forward(parameters, inputs)
        error = np.exp(_log_softmax(activations.pop()))
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        gradient: Arrays = {}
        for layer in reversed(range(len(activations))):
            gradient[f"weight-{layer}"] = activations[layer].T @ error
            gradient[f"bias-{layer}"] = error.sum(axis=0)
            if layer > 0:
                error = (error @ parameters[f"weight-{layer}"].T) * (activations[layer] > 0)
        return {name: gradient[name] for name in self.shapes}

    def measure(self, parameters: Mapping[str, Floats], inputs: Floats, labels: Labels) -> dict[str, float]:
        """`loss`, the mean cross-entropy in nats, and `accuracy`, the fraction classified right."""
        scores = _log_softmax(self._forward(parameters, inputs)[-1])
        loss = -scores[np.arange(len(labels)), labels].mean(dtype=np.float64)
        return {"loss": float(loss), "accuracy": float((scores.argmax(axis=1) == labels).mean())}

    def _forward(self, parameters: Mapping[str, Floats], inputs: Floats) -> list[Floats]:
        """Input of each layer, and last the scores (examples × classes)."""
        activations = [inputs]
        last = len(self.sizes) - 2
        for layer in range(last + 1):
            output = activations[-1] @ parameters[f"weight-{layer}"] + parameters[f"bias-{layer}"]
            activations.append(output if layer == last else np.maximum(output, 0))
        return activations


def _log_softmax(scores: Floats) -> Floats:
    shifted = scores - scores.max(axis=1, keepdims=True)  # the largest becomes 0: no exponential overflows
    normalised: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised
