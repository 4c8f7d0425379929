"""Classes of the user's own on the command line: what they announce, print, raise and return."""

from __future__ import annotations

import json

import pytest
from support.cli import SMALL, scenario_file, start, strict_json

MINE = """
import sys
import numpy as np
import asyncagg

print("imported")

class Owner(asyncagg.DataOwner):
    def __init__(self, how):
        self.how = how
        if how == "heavy":
            self.max_weight = 5
        if how == "light":
            self.max_weight = 0

    def compute_gradient(self, parameters, round):
        print("computing")
        if self.how == "exits":
            sys.exit(0)
        if self.how == "raises":
            raise ValueError("no data")
        if self.how == "nothing":
            return None
        return {"v" if self.how == "other" else "w": np.ones(6)}, 5 if self.how == "heavy" else 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(6)}
    def apply(self, parameters, mean):
        return parameters
"""
WORKLOAD = 'kind = "python"\nowner = "mine:Owner"\nmodel_owner = "mine:Model"\noptions = {{ how = "{how}" }}'


def mine(folder, how):
    (folder / "mine.py").write_text(MINE)
    text = SMALL.replace('kind = "synthetic"\ndimension = 20', WORKLOAD.format(how=how))
    return scenario_file(folder, text), text.splitlines().index('owner = "mine:Owner"') + 1


def asked(folder, *arguments):
    """`asyncagg` in a process of its own, since modules of one name differ: status, stdout, lines of stderr."""
    process = start(folder, *arguments)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr.splitlines()


@pytest.mark.parametrize("engine", ["sim", "tcp", "processes"])
def test_json_stands_alone_on_stdout(tmp_path, engine):
    mine(tmp_path, "well")
    status, stdout, stderr = asked(tmp_path, "run", "small.toml", "--engine", engine, "--json", "--quiet")
    assert status == 0
    assert strict_json(stdout)["status"] == "ok"
    assert "imported" in stderr


def test_a_checked_scenario_is_one_whatever_is_printed(tmp_path):
    path, _ = mine(tmp_path, "well")
    status, stdout, stderr = asked(tmp_path, "check", path.name)
    assert (status, stderr) == (0, ["imported"])
    (tmp_path / "full.toml").write_text(stdout)
    assert asked(tmp_path, "check", "full.toml")[0] == 0


@pytest.mark.parametrize("engine", ["sim", "tcp", "processes"])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            "heavy",
            "max_weight of data-owner-0 is 5, and that of its class 1"
            " (the largest of all owners in the class, or as aggregation.max_weight)",
        ),
        ("light", "max_weight of data-owner-0 is 0 (it must be a positive integer)"),
    ],
)
def test_owners_that_announce_another_weight_than_their_class(tmp_path, how, said, engine):
    path, line = mine(tmp_path, how)
    status, _, stderr = asked(tmp_path, "run", path.name, "--engine", engine, "--out", "run", "--quiet")
    assert (status, stderr) == (2, [f"{path.name}:{line}: workload.owner: {said}"])
    assert not (tmp_path / "run").exists()


def test_the_scenario_may_give_the_bound_that_the_class_does_not(tmp_path):
    path, _ = mine(tmp_path, "heavy")
    given = ("--set", "aggregation.max_weight=5")
    status, _, stderr = asked(tmp_path, "run", path.name, "--out", "run", "--quiet", *given)
    assert (status, stderr) == (0, [])
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [each["total_weight"] for each in result["rounds"]] == [20, 20]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "mine.py:21: ValueError: no data"),
        ("exits", "mine.py:19: SystemExit: 0"),
        ("nothing", "TypeError: cannot unpack non-iterable NoneType object"),
        ("other", "'w' is missing (shape (6,)); 'v' is unknown"),
    ],
)
def test_a_gradient_that_cannot_be_priced(tmp_path, how, said):
    path, _ = mine(tmp_path, how)
    status, stdout, stderr = asked(tmp_path, "calibrate", path.name)
    assert (status, stdout) == (2, "")
    assert stderr[-1].startswith(f"{path.name}:")
    assert said in stderr[-1]
