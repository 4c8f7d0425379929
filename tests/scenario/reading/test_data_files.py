"""A data file is part of what players act on: by its contents, wherever it is and whatever it is called."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from asyncagg.scenario import Scenario, ScenarioError, parse


def vectors(path: Path, seed: int = 0) -> Path:
    np.savez(path, vectors=np.random.default_rng(seed).normal(size=(3, 4)))
    return path


def about(path: Path) -> Scenario:
    return parse({"name": "x", "workload": {"kind": "vectors", "file": str(path)}})


def test_other_contents_are_another_experiment(tmp_path: Path) -> None:
    path = vectors(tmp_path / "v.npz")
    before = about(path)
    digest = before.digest()
    vectors(path, seed=1)
    after = about(path)
    assert after.digest() != digest
    assert before.digest() == digest, "what was begun keeps what it acts on"
    assert before == after
    assert hash(before) == hash(after)
    assert before.acted_on().keys() == after.acted_on().keys()
    assert [key for key, value in before.acted_on().items() if value != after.acted_on()[key]] == ["workload"]


def test_the_same_contents_are_the_same_experiment_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = vectors(tmp_path / "v.npz")
    other = Path(shutil.copy(one, tmp_path / "other" / "w.npz"))
    assert about(one).digest() == about(other).digest()
    assert about(one) != about(other)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    scenario = about(vectors(tmp_path / "v.npz"))
    hash(scenario)
    (tmp_path / "v.npz").unlink()
    with pytest.raises(ScenarioError, match=r"workload.file: .*v.npz cannot be read: No such file or directory"):
        scenario.digest()
