"""What the command line can, from Python: a run that is kept, gone on with, told of, shown; owners given or named."""

import io
import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import invoke
from support.runs import DIMENSION, Nothing, Vector, scenario

import asyncagg
from asyncagg.engines.processes.child_handle import ChildHandle
from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.runs.directory import DirectoryError
from asyncagg.runs.npz import read
from asyncagg.scenario.errors import ScenarioError

real = pytest.mark.asyncio(loop_factories=["real"])
engines = pytest.mark.parametrize("engine", ["sim", "tcp", "processes"])
FILES = {"scenario.toml", "result.json", "trace.jsonl", "model.npz", "means.npz"}
OWN_CODE = """
import numpy as np
import asyncagg

class Owner(asyncagg.DataOwner):
    def __init__(self, index, step=1.0):
        self.value = step * (index + 1)

    def compute_gradient(self, parameters, round):
        return {"w": np.full(4, self.value)}, 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(4)}

    def apply(self, parameters, mean):
        return {"w": parameters["w"] + mean["w"]}
"""


def owners(value: float = 2.0) -> list[Vector]:
    return [Vector(np.full(DIMENSION, value)) for _ in range(4)]


# -- kept in a directory ----------------------------------------------------------------------------------------------


@engines
def test_a_run_leaves_what_the_command_line_would(tmp_path: Path, engine: str) -> None:
    result = asyncagg.run(scenario("secagg+", engine=engine), out=tmp_path / "run")
    assert result.folder == tmp_path / "run"
    assert {path.name for path in result.folder.iterdir()} >= FILES
    assert json.loads((result.folder / "result.json").read_text()) == result
    assert np.array_equal(dict(read(result.folder / "means.npz"))["round-0"], result.means[0])
    assert invoke("verify", result.folder).exit_code == 0


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert asyncagg.run(scenario("plain")).folder is None
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_left_of_what_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "dear").mkdir()
    (tmp_path / "dear" / "file").touch()
    with pytest.raises(DirectoryError, match="exists and is not empty"):
        asyncagg.run(scenario("plain"), out=tmp_path / "dear")
    workload = {"kind": "python", "owner": "no_such:Owner", "model_owner": "no_such:Model", "path": str(tmp_path)}
    with pytest.raises(ScenarioError, match="no_such"):
        asyncagg.run({"name": "x", "engine": "tcp", "workload": workload}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_owners_that_are_given_are_kept_out_of_the_scenario(tmp_path: Path, engine: str) -> None:
    result = asyncagg.run(
        scenario("secagg", engine=engine), owners=owners(), model_owner=Nothing(), out=tmp_path / "run"
    )
    assert np.allclose(result.means[0], 2.0, atol=1e-3)
    done = invoke("run", tmp_path / "run" / "scenario.toml")
    assert done.exit_code == 2
    right = "asyncagg.run with owners and model_owner, or another kind"
    assert f'workload.kind: is "given", whose owners come from a Python program ({right})' in done.stderr
    assert invoke("verify", tmp_path / "run").exit_code == 2


# -- gone on with -----------------------------------------------------------------------------------------------------


class Stops(RuntimeError):
    """Raised after a round by whoever is told of it."""


def stop_after(last: int) -> Any:
    def told(each: dict[str, Any]) -> None:
        if each["round"] == last:
            raise Stops(f"after {last}")

    return told


@pytest.mark.parametrize("engine", ["tcp", "processes"])
def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path, engine: str) -> None:
    values = scenario("secagg+", engine=engine, rounds=5)
    whole = asyncagg.run(values)
    with pytest.raises(Stops, match="after 1"):
        asyncagg.run(values, out=tmp_path / "run", on_round=stop_after(1))
    stored = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (stored["status"], stored["reason"]) == ("failed", "stopped by Stops: after 1")
    seen: list[int] = []
    result = asyncagg.run(resume=tmp_path / "run", on_round=lambda each: seen.append(each["round"]))
    assert result["status"] == "ok"
    assert seen[-1] == 4
    assert 0 not in seen
    assert [each["round"] for each in result["rounds"]] == list(range(5))
    means = dict(read(tmp_path / "run" / "means.npz"))
    assert all(np.array_equal(means[f"round-{index}"], whole.means[index]) for index in range(5))


def test_owners_that_were_given_are_given_again(tmp_path: Path) -> None:
    values = scenario("secagg", engine="tcp", rounds=4)
    with pytest.raises(Stops):
        asyncagg.run(values, owners=owners(), model_owner=Nothing(), out=tmp_path / "run", on_round=stop_after(1))
    with pytest.raises(ScenarioError, match=r'workload\.kind: is "given", whose owners come from a Python program'):
        asyncagg.run(resume=tmp_path / "run")
    with pytest.raises(ScenarioError, match=r"owners\.count: is 4, and 3 are given \(as many\)"):
        asyncagg.run(resume=tmp_path / "run", owners=owners()[:3], model_owner=Nothing())
    result = asyncagg.run(resume=tmp_path / "run", owners=owners(), model_owner=Nothing())
    assert (result["status"], len(result["rounds"])) == ("ok", 4)
    with pytest.raises(CheckpointError):
        asyncagg.run(resume=tmp_path / "run", owners=owners(), model_owner=Nothing())


def test_owners_are_not_slipped_under_another_run(tmp_path: Path) -> None:
    with pytest.raises(Stops):
        asyncagg.run(scenario("secagg", engine="tcp", rounds=4), out=tmp_path / "run", on_round=stop_after(1))
    with pytest.raises(ScenarioError, match=r'workload\.kind: is "synthetic", and owners are given \(none\)'):
        asyncagg.run(resume=tmp_path / "run", owners=owners(), model_owner=Nothing())


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({}, "scenario is missing"),
        ({"resume": "run", "scenario": {"name": "x"}}, "scenario does not go with resume"),
        ({"resume": "run", "engine": "tcp"}, "engine does not go with resume"),
        ({"resume": "run", "seed": 0}, "seed does not go with resume"),
        ({"resume": "run", "out": "other"}, "out does not go with resume"),
        ({"resume": "run", "owners": "m:O", "model_owner": "m:M"}, "names of classes do not go with resume"),
        ({"scenario": {"name": "x"}, "owners": "m:O", "model_owner": Nothing()}, "are of one kind"),
        ({"scenario": {"name": "x"}, "model_owner": "m:M"}, "go together"),
    ],
)
def test_arguments_that_do_not_go_together_are_named(arguments: dict[str, Any], wrong: str) -> None:
    with pytest.raises(TypeError, match=wrong):
        asyncagg.run(**arguments)


# -- told of each round, and shown ------------------------------------------------------------------------------------


@engines
def test_whoever_asks_is_told_of_each_round(engine: str) -> None:
    told: list[dict[str, Any]] = []
    result = asyncagg.run(scenario("secagg", engine=engine, rounds=3), on_round=told.append)
    assert [each["round"] for each in told] == [0, 1, 2]
    assert [each["survivors"] for each in told] == [each["survivors"] for each in result["rounds"]]


@engines
def test_what_is_raised_after_a_round_ends_the_run_and_is_raised(engine: str) -> None:
    with pytest.raises(Stops, match="after 1"):
        asyncagg.run(scenario("secagg", engine=engine, rounds=1000), on_round=stop_after(1))


@real
async def test_a_run_that_is_awaited_takes_the_same_arguments(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    result = await asyncagg.run_async(scenario("secagg", engine="tcp"), out=tmp_path / "run", on_round=told.append)
    assert result.folder == tmp_path / "run"
    assert len(told) == 1


def test_a_bar_is_drawn_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(sys, "stderr", drawn)
    asyncagg.run({"name": "x", "engine": "sim", "rounds": 3}, progress=True)
    lines = drawn.getvalue().split("\r")
    assert len(lines) == 4
    assert lines[1].startswith("[########................]  round 1 of 3  loss 2.")
    assert lines[-1].startswith("[########################]  round 3 of 3  loss ")
    assert drawn.getvalue().endswith("\n")


# -- owners by name ---------------------------------------------------------------------------------------------------


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of the user's own in the present folder."""
    name = f"named_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    return name


@engines
def test_named_owners_run_on_every_engine(own_code: str, engine: str) -> None:
    values = {"name": "x", "rounds": 2, "workload": {"kind": "vectors", "file": "none.npz"}}
    result = asyncagg.run(values, engine=engine, owners=f"{own_code}:Owner", model_owner=f"{own_code}:Model")
    assert (result["status"], result["engine"]) == ("ok", engine)
    assert np.allclose(result.model["w"], 4.0, atol=1e-2)


def test_named_owners_keep_the_options_of_the_scenario(own_code: str, tmp_path: Path) -> None:
    names = {"owners": f"{own_code}:Owner", "model_owner": f"{own_code}:Model"}
    workload = {"kind": "python", "owner": "other:Owner", "model_owner": "other:Model", "options": {"step": 2.0}}
    assert np.allclose(
        asyncagg.run({"name": "x", "engine": "sim", "workload": workload}, **names).model["w"], 4, atol=0.1
    )
    text = 'name = "x"\nengine = "sim"\n[workload]\nkind = "python"\nowner = "o:O"\nmodel_owner = "o:M"\n'
    text += "options = {step = 2.0}\n"
    (tmp_path / "x.toml").write_text(text)
    assert np.allclose(asyncagg.run("x.toml", **names).model["w"], 4, atol=0.1)
    (tmp_path / "d.toml").write_text('name = "x"\nengine = "sim"\n[workload]\nhidden = [3]\n')
    assert np.allclose(asyncagg.run("d.toml", **names).model["w"], 2, atol=0.1)


def test_objects_on_processes_and_names_in_main_are_refused_with_the_way_out() -> None:
    with pytest.raises(ScenarioError, match=r'owners="module:Class"'):
        asyncagg.run(scenario("plain"), engine="processes", owners=owners(), model_owner=Nothing())
    with pytest.raises(ScenarioError, match=r'is "__main__:Owner", which other processes cannot import'):
        asyncagg.run({"name": "x", "engine": "processes"}, owners="__main__:Owner", model_owner="__main__:Model")


def test_nothing_is_pickled(own_code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child is told is plain: its set-up holds no object of the user's."""
    told: list[dict[str, Any]] = []
    live = ChildHandle.live

    def watched(self: ChildHandle, handle: Any, setup: dict[str, Any]) -> Any:
        told.append(setup)
        return live(self, handle, setup)

    monkeypatch.setattr(ChildHandle, "live", watched)
    names = {"owners": f"{own_code}:Owner", "model_owner": f"{own_code}:Model"}
    assert asyncagg.run({"name": "x", "engine": "processes"}, **names)["status"] == "ok"
    kinds = {type(value) for setup in told for value in setup.values()}
    assert told
    assert kinds <= {str, bytes, bool, dict, list, tuple}
    assert threading.active_count() == 1
