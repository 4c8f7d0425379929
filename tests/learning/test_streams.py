"""Seeded streams: stable for ever, and apart from each other."""

import numpy as np

from asyncagg.learning.streams import permutation, stream, uniform


def test_values_are_pinned():
    assert stream(0, "digits", "split").random(3).tolist() == [
        0.7790759089807028,
        0.3278325535245874,
        0.8774066712355896,
    ]
    assert permutation(stream(5, "partition"), 8).tolist() == [4, 1, 0, 7, 3, 5, 6, 2]


def test_streams_differ_by_seed_label_and_its_division():
    labels = [
        (0, "a"),
        (1, "a"),
        (0, "b"),
        (0, "a", 1),
        (0, "a", "1"),
        (0, "a1"),
        (0, "a", 1, 2),
        (0, "a", 12),
    ]
    firsts = {stream(*label).random() for label in labels}
    assert len(firsts) == len(labels)


def test_permutation_holds_every_number_once():
    assert sorted(permutation(stream(0, "order"), 100)) == list(range(100))


def test_uniform_fills_its_range():
    values = uniform(stream(0, "values"), (1000, 10), 3.0)
    assert values.dtype == np.float32
    assert values.min() >= -3
    assert values.max() <= 3
    assert abs(values.mean()) < 0.1
    assert abs(values.std() - 3**0.5) < 0.05
