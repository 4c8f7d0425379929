"""`exact` is said of what is recorded: the sum, and the mean that it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.runs import DIMENSION, Arrays, Nothing, Vector, scenario

import asyncagg
from asyncagg.engines.record.oracle import ExpectedSum, compare
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.names import owner_name
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.vectors.flatten import Layout
from asyncagg.vectors.vector_encoder import VectorEncoder

VECTORS = np.linspace(-1, 1, 3 * DIMENSION).reshape(3, DIMENSION)


class Scaling(Nothing):
    """Takes its step in place, in the array that it is given."""

    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        step = mean["vector"]
        step *= 0.1
        return parameters


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_what_the_model_does_to_the_mean_is_not_recorded(engine: str) -> None:
    owners, values = [Vector(row) for row in VECTORS], scenario("secagg", 3, engine)
    first, second = (asyncagg.run(values, owners=owners, model_owner=model) for model in (Nothing(), Scaling()))
    assert second["rounds"][0]["exact"] is True
    assert first.means[0].tobytes() == second.means[0].tobytes()


def test_a_mean_that_is_not_of_the_revealed_sum_is_not_exact() -> None:
    layout = Layout(("vector",), ((DIMENSION,),), ("<f8",))
    encoder = VectorEncoder.for_population(layout, 3, (8.0,), 16, 1, "nearest")
    words = encoder.ring.zeros(DIMENSION)
    for row in VECTORS:
        words += encoder.encode(row, 1).words
    encoder.ring.cut(words)
    survivors = tuple(owner_name(index) for index in range(3))
    mean = encoder.decode(words, 3)
    outcome = RoundOutcome(0, revealed=Revealed(words, 3, survivors, {}, {}), mean=mean)
    put_in = ExpectedSum(3, words.copy(), VECTORS.sum(axis=0), 3, 0, np.zeros((1, 2), np.int64))
    assert compare(outcome, put_in, encoder).exact is True
    other = mean.copy()
    other[7] = np.nextafter(other[7], 9)
    assert compare(replace(outcome, mean=other), put_in, encoder).exact is False
