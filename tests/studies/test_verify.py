"""A run again: the same to the byte in sim, the same survivors and means elsewhere, or the first difference."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import invoke
from support.runs import scenario

from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.runs.directory import DirectoryError, RunDirectory
from asyncagg.scenario import parse
from asyncagg.studies.verify import verify
from asyncagg.version import FORMAT, __version__

BUSY: dict[str, Any] = {
    "rounds": 2,
    "owners_table": {"groups": [{"count": 3, "link": "mobile-4g", "device": "phone"}]},
    "network": {"latency": "5 ms", "bandwidth_up": "20 Mbit", "jitter": "1 ms", "loss": 0.01},
    "compute": {"device": "server", "gradient": "30 ms"},
    "phases": {"upload": {"deadline": "1 s"}},
    "faults": [
        {"kind": "crash", "players": {"probability": 0.2}, "phase": "share", "lasts": "1 s"},
        {"kind": "slow", "players": {"count": 2}, "at": "100 ms", "factor": 3},
    ],
}


def directory(path: Path, engine: str = "sim", **tables: Any) -> Path:
    """A finished run's."""
    ready = parse(scenario("secagg+", 8, engine, **tables))
    finished, where = begin(ready), RunDirectory.create(path / "run", "run", 0)
    play(prepare(ready), finished, lambda each: None)
    where.write_scenario(ready.normalised_toml())
    where.write_trace(finished.trace)
    where.write_means(finished.means)
    where.write_model(finished.model)
    where.write_result(finished.result)
    return where.path


def edit(file: Path, change: Any) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def test_a_simulated_run_is_the_same_record_by_record(tmp_path: Path) -> None:
    run = directory(tmp_path, **BUSY)
    records = len((run / "trace.jsonl").read_text().splitlines())
    verdict = verify(run)
    assert verdict.difference is None
    what = "the whole result but times and memory of this machine, means and model"
    assert verdict.compared == f"{records} records, {what}"


def test_the_first_record_that_differs_is_named_with_both_texts(tmp_path: Path) -> None:
    run = directory(tmp_path)
    lines = (run / "trace.jsonl").read_text().splitlines(keepends=True)
    changed = lines[6].replace('"bytes":', '"bytes":9')
    (run / "trace.jsonl").write_text("".join([*lines[:6], changed, *lines[7:]]))
    assert verify(run).difference == f"trace.jsonl:7: was {changed.strip()}, is {lines[6].strip()}"
    (run / "trace.jsonl").write_text("".join(lines[:-1]))
    assert verify(run).difference == f"trace.jsonl:{len(lines)}: was nothing, is {lines[-1].strip()}"


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_survivors_and_means_that_differ_are_named(tmp_path: Path, engine: str) -> None:
    run = directory(tmp_path, engine)
    assert verify(run).difference is None
    with np.load(run / "means.npz") as stored:
        mean = stored["round-0"]
    mean[3] = np.nextafter(mean[3], 9)
    np.savez(run / "means.npz", **{"round-0": mean})
    difference = f"means.npz: round-0 differs first at coordinate 3: was {mean[3]}, is {np.nextafter(mean[3], -9)}"
    assert verify(run).difference == difference
    edit(run / "result.json", lambda result: result["rounds"][0]["survivors"].pop())
    assert str(verify(run).difference).startswith('round 0: survivors was ["data-owner-0"')
    edit(run / "result.json", lambda result: result["rounds"].pop())
    assert verify(run).difference == "round 0: was not there"


def test_an_edited_digest_is_noticed(tmp_path: Path) -> None:
    run = directory(tmp_path)
    edit(run / "result.json", lambda result: result.update(trace_digest="sha256:0"))
    assert str(verify(run).difference).startswith('result.json: trace_digest was "sha256:0", is "sha256:')


def test_means_rounded_with_the_systems_own_draws_are_not_compared(tmp_path: Path) -> None:
    run = directory(tmp_path, "tcp", encoding={"rounding_draws": "system"})
    verdict = verify(run)
    assert verdict.difference is None
    assert "no means and no model: values were rounded with the system's own draws" in verdict.compared


CHANGES = {
    "attempts": lambda each: each.update(attempts=2),
    "dropped": lambda each: each["dropped"].update({"data-owner-1": "share"}),
    "reasons": lambda each: each["reasons"].update({"data-owner-1": "left"}),
    "total_weight": lambda each: each.update(total_weight=9),
    "clipped": lambda each: each.update(clipped=1),
    "below_quantum": lambda each: each.update(below_quantum=10**6),
    "error_max": lambda each: each.update(error_max=0.5),
    "error_bound": lambda each: each.update(error_bound=0.5),
    "exact": lambda each: each.update(exact=False),
    "metrics": lambda each: each["metrics"].update(loss=0.25),
}


OF_THE_COURSE = ("attempts", "dropped", "reasons")
"""Who falls silent when may depend on time."""


@pytest.fixture(scope="module")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {engine: directory(tmp_path_factory.mktemp(engine), engine) for engine in ("sim", "tcp")}


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize("key", list(CHANGES))
def test_whatever_of_a_round_is_the_same_everywhere_is_compared(
    finished_runs: dict[str, Path], tmp_path: Path, engine: str, key: str
) -> None:
    run = Path(shutil.copytree(finished_runs[engine], tmp_path / "run"))
    compared, _, left_out = verify(run).compared.partition("; not compared: ")
    assert engine == "sim" or (key.replace("_", " ") in left_out.split(", ")) == (key in OF_THE_COURSE)
    edit(run / "result.json", lambda result: CHANGES[key](result["rounds"][0]))
    if engine == "tcp" and key in OF_THE_COURSE:
        assert key not in compared
        assert verify(run).difference is None
    else:
        assert str(verify(run).difference).startswith(f"round 0: {key} was ")


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_model_that_differs_is_named(finished_runs: dict[str, Path], tmp_path: Path, engine: str) -> None:
    run = Path(shutil.copytree(finished_runs[engine], tmp_path / "run"))
    with np.load(run / "model.npz") as stored:
        model = {name: stored[name] + 1 for name in stored.files}
    np.savez(run / "model.npz", **model)
    assert str(verify(run).difference).startswith(f"model.npz: {next(iter(model))} differs first at coordinate 0: was ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda result: result.update(rounds=3), "rounds is no list"),
        (lambda result: result["rounds"][0].update(alive=result["rounds"][0].pop("survivors")), "rounds.0: is not a"),
        (lambda result: result["rounds"][0].update(survivors=5), "rounds.0: survivors is not what"),
        (lambda result: result.update(engine=5), "its engine is none of sim, "),
        (lambda result: result.update(engine="warp"), "its engine is none of sim, "),
        (lambda result: result.pop("status"), "status and reason do not say"),
        (
            lambda result: result.update(engine="hosts", rounds=[], status="failed", reason="x"),
            "before its first round: x",
        ),
    ],
)
def test_a_result_that_no_run_leaves_is_refused(
    finished_runs: dict[str, Path], tmp_path: Path, change: Any, says: str
) -> None:
    run = Path(shutil.copytree(finished_runs["sim"], tmp_path / "run"))
    edit(run / "result.json", change)
    with pytest.raises(DirectoryError, match=says):
        verify(run)


def test_a_run_of_another_format_names_who_made_it(finished_runs: dict[str, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished_runs["sim"], tmp_path / "run"))
    edit(run / "result.json", lambda result: result.update(version="9.1"))
    assert verify(run).difference is None  # another version of the same format comes to the same
    edit(run / "result.json", lambda result: result.update(format=FORMAT + 1, rounds="in another form"))
    (run / "scenario.toml").write_text("what = 'another version says here'")
    done = invoke("verify", run)
    assert done.exit_code == 2
    made_by = f"asyncagg 9.1 and has format {FORMAT + 1}; this is asyncagg {__version__}, format {FORMAT}"
    assert done.stderr == f"{run / 'result.json'}: was made by {made_by} (use the one that made it)\n"


@pytest.mark.parametrize("name", ["means.npz", "model.npz"])
@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_arrays_that_cannot_be_read_are_refused(
    finished_runs: dict[str, Path], tmp_path: Path, name: str, content: bytes
) -> None:
    run = Path(shutil.copytree(finished_runs["sim"], tmp_path / "run"))
    (run / name).write_bytes(content)
    with pytest.raises(DirectoryError, match=f"{name}: cannot be read"):
        verify(run)


def test_what_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"result.json: No such file .*finished run"):
        verify(tmp_path)
    run = directory(tmp_path)
    (run / "means.npz").write_bytes(b"nothing")
    with pytest.raises(DirectoryError, match="cannot be read"):
        verify(run)
    edit(run / "result.json", lambda result: result.update(reason="interrupted"))
    with pytest.raises(DirectoryError, match="interrupted"):
        verify(run)
    (run / "result.json").write_text("[]")
    with pytest.raises(DirectoryError, match="no result"):
        verify(run)


def test_one_seed_has_one_digest_under_every_hash_seed(tmp_path: Path) -> None:
    run = directory(tmp_path, **BUSY)
    program = "import asyncagg, sys; print(asyncagg.run(sys.argv[1])['trace_digest'])"
    digests = [
        subprocess.run(
            [sys.executable, "-c", program, str(run / "scenario.toml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "4711")
    ]
    assert digests == [json.loads((run / "result.json").read_text())["trace_digest"]] * 2
