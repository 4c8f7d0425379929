"""`asyncagg run`: the run directory, what is printed where, exit statuses."""

from __future__ import annotations

import json
import os
import re
import sys

import numpy as np
import pytest
from support.cli import SMALL, invoke, lines, scenario_file, start, strict_json

from asyncagg.cli.output.summary import summary
from asyncagg.runs.result import RunResult

FILES = ["means.npz", "model.npz", "report.html", "result.json", "scenario.toml", "trace.jsonl"]

BROKEN_OWNER = """
import numpy as np
import asyncagg

class Owner(asyncagg.DataOwner):
    def __init__(self, index):
        self.index = index
    def compute_gradient(self, parameters, round):
        if self.index == 1:
            raise RuntimeError("my private data")
        return {"w": np.ones(6)}, 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(6)}
    def apply(self, parameters, mean):
        return parameters
    def evaluate(self, parameters):
        return {"loss": float("nan"), "best": float("inf"), "accuracy": np.float32(0.5)}
"""

PYTHON = """\
name = "python"
engine = "sim"
[owners]
count = 4
[aggregation]
on_failure = "abort"
[workload]
kind = "python"
owner = "mine:Owner"
model_owner = "mine:Model"
[phases.publish]
deadline = "1 s"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # of another test's folder
    return tmp_path


def test_run_directory(here):
    done = invoke("run", scenario_file(here))
    assert done.exit_code == 0, done.output
    directory = here / "runs" / "small-0-1"
    assert sorted(path.name for path in directory.iterdir()) == FILES
    result = strict_json((directory / "result.json").read_text())
    assert (result["status"], result["reason"], result["schema"]) == ("ok", None, 2)
    assert [each["exact"] for each in result["rounds"]] == [True, True]
    with np.load(directory / "means.npz") as means:
        assert list(means) == ["round-0", "round-1"]
    assert all(strict_json(line) for line in (directory / "trace.jsonl").read_text().splitlines())
    again = invoke("run", directory / "scenario.toml")
    assert again.exit_code == 0
    repeated = strict_json((here / "runs" / "small-0-2" / "result.json").read_text())
    assert repeated["trace_digest"] == result["trace_digest"]


def test_a_line_a_round_on_stderr_and_a_summary_on_stdout(here):
    done = invoke("run", scenario_file(here))
    assert [line[:13] for line in lines(done)] == ["[1/2] round 0", "[2/2] round 1"]
    assert "4 of 4 owners" in lines(done)[0]
    summary = done.stdout.splitlines()
    assert summary[0] == "small: ok (engine sim, protocol secagg+, seed 0)"
    assert summary[-1] == "run directory: runs/small-0-1"


def test_of_many_warnings_the_summary_shows_the_first(tmp_path):
    result = RunResult("many", 0, "sim", "secagg+", 4, 3, ledger=[f"sum {index}" for index in range(20)])
    shown = [line for line in summary(result, tmp_path) if line.startswith("warning: ")]
    assert shown == ["warning: sum 0", "warning: sum 1", "warning: sum 2", "warning: and 17 more in result.json"]


def test_skipped_rounds_are_told_with_their_reason(here):
    faults = '[[faults]]\nkind = "drop"\nplayers = { count = 4 }\nphase = "upload"\nrounds = [1]\n'
    done = invoke("run", scenario_file(here, SMALL + '[aggregation]\non_failure = "skip"\n' + faults))
    assert done.exit_code == 0
    assert "\nround 1 skipped: " in done.stdout


def test_json_is_the_result_and_nothing_else(here):
    done = invoke("run", scenario_file(here), "--json", "--quiet", "--seed", 7, "--out", "mine")
    assert strict_json(done.stdout) == strict_json((here / "mine" / "result.json").read_text())
    assert strict_json(done.stdout)["seed"] == 7
    assert done.stderr == ""


def test_privacy_and_parameters_are_in_the_result(here):
    result = strict_json(invoke("run", scenario_file(here), "--json").stdout)
    expected = {"threshold": 3, "neighbours": 3, "ring_bits": 18, "bits": 16, "clip": 8.0}
    assert expected.items() <= result["parameters"].items()
    assert result["parameters"]["privacy_bits"] == 128
    assert any("3 of the 4 owners" in sentence for sentence in result["privacy"]["opens_an_input"])
    plain = strict_json(invoke("run", scenario_file(here), "--json", "--set", "aggregation.protocol=pairwise").stdout)
    assert plain["parameters"]["threshold"] is plain["parameters"]["neighbours"] is None


def test_settings_and_engine_win_over_the_file(here):
    settings = ["--set", "owners.count=5", "--set", "workload.dimension=7", "--set", 'name="a b/c"']
    done = invoke("run", scenario_file(here), *settings, "--engine", "tcp", "--json")
    result = strict_json(done.stdout)
    assert (result["owners"], result["dimension"], result["engine"]) == (5, 7, "tcp")
    assert (here / "runs" / "a-b-c-0-1").is_dir()


def test_an_existing_run_is_refused(here):
    scenario = scenario_file(here)
    assert invoke("run", scenario, "--out", "mine").exit_code == 0
    before = (here / "mine" / "result.json").read_bytes()
    again = invoke("run", scenario, "--out", "mine")
    assert again.exit_code == 2
    assert lines(again) == ["mine: exists and is not empty (a new folder, nothing is overwritten)"]
    assert (here / "mine" / "result.json").read_bytes() == before


FEWER = """[[faults]]
kind = "drop"
players = ["data-owner-0"]
phase = "upload"
[expect]
completed = true
survivors_at_least = 4
"""


def test_an_expectation_that_is_not_met_fails_the_run(here):
    done = invoke("run", scenario_file(here, SMALL + FEWER), "--quiet")
    assert done.exit_code == 1
    missed = "expect.survivors_at_least: 4, but round 0 has 3 survivors"
    assert lines(done) == [f"small: expectation not met (--no-expect runs without): {missed}"]
    printed = done.stdout.splitlines()
    assert printed[0].startswith("small: ran; expectation not met (engine sim,")
    assert f"expectation not met: {missed}" in printed
    result = strict_json((here / "runs" / "small-0-1" / "result.json").read_text())
    assert (result["status"], result["reason"]) == ("failed", missed)
    assert result["expect"] == {"completed": True, "survivors_at_least": False}
    assert result["rounds"][0]["dropped"] == {"data-owner-0": "upload"}


def test_without_expectations_the_run_is_in_order_and_says_what_was_not_met(here):
    scenario = scenario_file(here, SMALL + FEWER)
    done = invoke("run", scenario, "--quiet", "--no-expect", "--out", "mine")
    assert (done.exit_code, lines(done)) == (0, [])
    printed = done.stdout.splitlines()
    assert printed[0].startswith("small: ok (engine sim,")
    assert "expectation not met: expect.survivors_at_least: 4, but round 0 has 3 survivors" in printed
    result = strict_json((here / "mine" / "result.json").read_text())
    assert (result["status"], result["reason"]) == ("ok", None)
    assert result["expect"] == {"completed": True, "survivors_at_least": False}
    assert invoke("verify", "mine").exit_code == 0


def test_a_run_without_any_mean_is_never_plain_ok(here):
    skipped = '[[faults]]\nkind = "drop"\nplayers = { fraction = 1.0 }\nphase = "share"\n'
    given = ("--set", "aggregation.on_failure=skip", "--set", "phases.share.deadline=1 s")
    done = invoke("run", scenario_file(here, SMALL + skipped), "--quiet", *given)
    assert done.exit_code == 0
    assert done.stdout.startswith("small: ran; no round has a mean (engine sim,")
    assert strict_json((here / "runs" / "small-0-1" / "result.json").read_text())["status"] == "ok"


def test_a_round_that_is_not_forgiven_fails_the_run_and_leaves_everything(here):
    faults = '[[faults]]\nkind = "drop"\nplayers = { count = 4 }\nphase = "upload"\nrounds = [1]\n'
    policy = '[aggregation]\non_failure = "abort"\n'
    done = invoke("run", scenario_file(here, SMALL + policy + faults))
    assert done.exit_code == 1
    assert "small: the run failed: round 1: " in lines(done)[-1]
    directory = here / "runs" / "small-0-1"
    assert sorted(path.name for path in directory.iterdir()) == FILES
    result = strict_json((directory / "result.json").read_text())
    assert [each["status"] for each in result["rounds"]] == ["ok", "failed"]


def test_figures_that_are_no_numbers_become_null(here):
    (here / "mine.py").write_text(BROKEN_OWNER.replace("self.index == 1", "False"))
    done = invoke("run", scenario_file(here, PYTHON), "--json")
    assert done.exit_code == 0, done.output
    assert strict_json(done.stdout)["rounds"][0]["metrics"] == {"loss": None, "best": None, "accuracy": 0.5}


def test_an_owner_that_raises_is_dropped_by_name_and_says_nothing_of_its_data(here):
    (here / "mine.py").write_text(BROKEN_OWNER)
    done = invoke("run", scenario_file(here, PYTHON), "--json")
    assert done.exit_code == 0, done.output
    assert list(strict_json(done.stdout)["rounds"][0]["dropped"]) == ["data-owner-1"]
    assert done.stderr.count("RuntimeError: my private data") == 1  # its owner's own, who is here
    assert "my private data" not in done.stdout
    for left in (here / "runs" / "python-0-1").glob("*.json*"):
        assert "my private data" not in left.read_text()


# -- bad files -----------------------------------------------------------------------------------------------


def test_every_mistake_is_one_plain_line(here):
    text = SMALL.replace("rounds = 2", 'rounds = "two"\nroundz = 3') + "[encoding]\nclip = 0\n"
    done = invoke("run", scenario_file(here, text))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(lines(done)) == 3
    assert all(re.search(r"small\.toml:\d+: [a-z.]+: .+ \(.+\)$", line) for line in lines(done)), lines(done)
    assert not (here / "runs").exists()


def test_wrong_settings_name_themselves(here):
    done = invoke("run", scenario_file(here), "--set", "owners.count=-1", "--set", "nothing")
    assert done.exit_code == 2
    assert [line.partition(": ")[0] for line in lines(done)] == ["--set owners.count=-1", "--set nothing"]


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (None, "there is no file"),
        (np.array([[1.0, np.nan]] * 4), "data-owner-0"),
        (np.array([[1.0, np.inf]] * 4), "data-owner-0"),
        (np.ones((3, 2)), "4"),
        (np.ones(4), "4"),
    ],
)
def test_bad_data_files_leave_no_run(here, vectors, said):
    if vectors is not None:
        np.savez(here / "data.npz", vectors=vectors)
    text = SMALL.replace('kind = "synthetic"\ndimension = 20', 'kind = "vectors"\nfile = "data.npz"')
    done = invoke("run", scenario_file(here, text), "--out", "mine", "--set", "aggregation.compute_nodes=1")
    assert done.exit_code == 2
    (line,) = lines(done)
    assert re.search(r"small\.toml:\d+: workload\.file: ", line)
    assert said in line
    assert not (here / "mine").exists()


def test_a_weight_above_the_published_bound_is_refused_before_the_run(here):
    np.savez(here / "data.npz", vectors=np.ones((4, 2)), weights=np.array([1, 20, 3, 4]))
    text = SMALL.replace('kind = "synthetic"\ndimension = 20', 'kind = "vectors"\nfile = "data.npz"')
    settings = ("--set", "aggregation.compute_nodes=1", "--set", "aggregation.max_weight=10")
    done = invoke("run", scenario_file(here, text), "--out", "mine", *settings)
    assert done.exit_code == 2
    (line,) = lines(done)
    assert line.startswith("--set aggregation.max_weight=10: aggregation.max_weight: is 10")
    assert "weight 20" in line
    assert not (here / "mine").exists()


def test_a_class_that_cannot_be_built_is_a_bad_file(here):
    (here / "mine.py").write_text(BROKEN_OWNER.replace("self.index = index", "raise OSError('no disk')"))
    done = invoke("run", scenario_file(here, PYTHON))
    assert done.exit_code == 2
    (line,) = lines(done)
    assert "workload.owner: " in line
    assert "no disk" in line
    assert list((here / "runs").iterdir()) == []


@pytest.mark.parametrize("settings", [["aggregation.corrupt=0.9"], ["aggregation.threshold=1"]])
def test_unsafe_parameters_are_refused_in_words(here, settings):
    arguments = [each for setting in settings for each in ("--set", setting)]
    done = invoke("run", scenario_file(here), *arguments)
    assert done.exit_code == 2
    assert len(lines(done)) == 1
    assert "aggregation" in lines(done)[0]


def test_long_paths_are_never_wrapped(here):
    name = "long-" * 40 + ".toml"
    done = start(here, "run", name, columns=40)
    stdout, stderr = done.communicate(timeout=30)
    assert (done.returncode, stdout) == (2, "")
    assert stderr == f"{name}: there is no such file (the path of a scenario)\n"


# -- as a process --------------------------------------------------------------------------------------------


def test_narrow_terminal_keeps_a_round_on_one_line(here):
    scenario_file(here)
    done = start(here, "run", "small.toml", columns=20)
    stdout, stderr = done.communicate(timeout=30)
    assert done.returncode == 0
    assert len(stderr.splitlines()) == 2
    assert json.loads((here / stdout.splitlines()[-1].partition(": ")[2] / "result.json").read_text())


def test_a_reader_that_goes_away_does_not_end_the_run(here):
    scenario_file(here)
    reader, writer = os.pipe()
    os.close(reader)
    done = start(here, "run", "small.toml", stdout=writer, stderr=writer)
    os.close(writer)
    done.wait(timeout=30)
    result = strict_json((here / "runs" / "small-0-1" / "result.json").read_text())
    assert result["status"] == "ok"
