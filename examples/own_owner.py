"""Your own owners and model: three hospitals fit one formula to their patients and show nobody a patient.

    python examples/own_owner.py

A data owner computes a gradient on rows that only it holds, and says how much that gradient weighs. The model
owner receives the weighted mean of the gradients, never one of them, and takes a step.
"""

import numpy as np

import asyncagg

Arrays = dict[str, np.ndarray]

TRUTH = np.array([2.0, -1.0, 0.5, 0.0, 3.0])
"""The made-up patients follow this formula, and noise: outcome = readings · TRUTH."""

SCENARIO = {
    "name": "own-owner",
    "rounds": 30,
    "engine": "sim",
    "owners": {"count": 3},
    "aggregation": {"protocol": "pairwise", "compute_nodes": 3},
}


class Hospital(asyncagg.DataOwner):
    """Holds its patients' readings (patients × 5) and outcomes (patients,)."""

    def __init__(self, readings: np.ndarray, outcomes: np.ndarray) -> None:
        self.readings = readings
        self.outcomes = outcomes
        self.max_weight = len(outcomes)  # public: whoever adds the weights needs room for them

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        """The gradient of half the mean squared error; it weighs as much as there are patients."""
        error = self.readings @ parameters["formula"] - self.outcomes
        return {"formula": self.readings.T @ error / len(error)}, len(error)


class Formula(asyncagg.ModelOwner):
    """Five factors that start at zero and follow the mean gradient."""

    factors = np.zeros(5)

    def initial_parameters(self) -> Arrays:
        """The factors before the first round."""
        return {"formula": self.factors}

    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        """One step down the mean gradient."""
        self.factors = parameters["formula"] - 0.5 * mean["formula"]
        return {"formula": self.factors}

    def evaluate(self, parameters: Arrays) -> dict[str, float]:
        """How far off the furthest factor is; the result lists it for every round."""
        return {"furthest": float(np.abs(parameters["formula"] - TRUTH).max())}


def hospital(patients: int, seed: int) -> Hospital:
    """A hospital with made-up patients."""
    draw = np.random.default_rng(seed)
    readings = draw.normal(size=(patients, len(TRUTH)))
    return Hospital(readings, readings @ TRUTH + draw.normal(0, 0.1, patients))


def main() -> None:
    """Trains in virtual time, with real masks."""
    model = Formula()
    asyncagg.run(SCENARIO, owners=[hospital(40, 1), hospital(100, 2), hospital(250, 3)], model_owner=model)
    print("learnt:", model.factors.round(2), "  truth:", TRUTH)


if __name__ == "__main__":
    main()
