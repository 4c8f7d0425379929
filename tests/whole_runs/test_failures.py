"""Owners failing in eight ways on every engine: who hears of it, and what.

The result has a reason for each, the owner's own side the traceback, and nothing of its data is anywhere else: not on
the wire, not in the trace, not in the result.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import failing
from support.cli import start
from support.failing import COUNT, OWN, PLAYERS, SECRET, TOLD, Failing, Model
from support.hosts import NODES, Place, Process, entries
from support.tap import Tap

import asyncagg
from asyncagg.api import Result
from asyncagg.engines.experiment import prepare
from asyncagg.engines.hosts import process_spec
from asyncagg.learning import workload
from asyncagg.net.tcp.network import TcpNetwork
from asyncagg.players.data_owner import UNTOLD
from asyncagg.scenario.reading.load import parse

ignored = pytest.mark.filterwarnings("ignore::asyncagg.OwnerWarning")
WORKLOAD = {"kind": "python", "owner": "failing:Failing", "model_owner": "failing:Model"}
FLEET = f"data-owner-0..{COUNT - 1}"


def given(engine: str, threat: str = "curious", ways: tuple[str, ...] = failing.WAYS, **options: Any) -> Result:
    owners = [Failing(index, ways) for index in range(COUNT)]
    return asyncagg.run(failing.values(engine, threat), owners=owners, model_owner=Model(), **options)


def check_reasons(rounds: list[dict[str, Any]], told: tuple[str, ...] = TOLD) -> None:
    """Every round has a mean without those who failed, and a reason for each of them."""
    assert [each["status"] for each in rounds] == ["ok"] * 3
    for each in rounds:
        assert each["dropped"] == dict.fromkeys(PLAYERS, each["dropped"][PLAYERS[0]])
        assert list(each["reasons"]) == list(PLAYERS)
        for player, begins in zip(PLAYERS, told, strict=True):
            assert each["reasons"][player].startswith(begins)


def check_own(text: str, times: int = 1) -> None:
    """The owners' own side: every failure in full, and the traceback so many times."""
    assert text.count(f"ValueError: {SECRET}") == times
    assert text.count("Traceback (most recent call last)") == times
    for said in OWN:
        assert said in text, said


def holds_nothing(text: str | bytes) -> bool:
    """Whether nothing of the owners' data is in it, nor anything that only their log says."""
    found = text if isinstance(text, str) else text.decode("latin-1")
    return not any(said in found for said in (SECRET, "weight 4711", "(4711,)", "first at index", "Traceback"))


# -- in this process: a tap on all channels ----------


@ignored
@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_in_one_process_each_is_told_once_in_full_and_nothing_of_it_is_on_the_wire(
    engine: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tap = Tap().install(monkeypatch)
    result = given(engine)
    check_reasons(result["rounds"])
    check_own(capfd.readouterr().err)
    said = [frame.body + bytes(frame.payload) for frame in tap.frames]
    assert any(b"ValueError at failing.py:" in each for each in said)  # the lead, which is only curious, relays it
    assert all(map(holds_nothing, said))
    assert holds_nothing("".join(record.detail for record in result.trace.records))
    assert holds_nothing(json.dumps(result))


@ignored
@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_under_lying_the_wire_tells_failures_apart_in_nothing_and_the_result_knows_them_from_the_owners(
    engine: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tap = Tap().install(monkeypatch)
    result = given(engine, "lying", ("raises", "nothing", "too heavy", "text", "another shape"))
    five = PLAYERS[:5]
    for each in result["rounds"]:
        assert (each["status"], list(each["dropped"])) == ("ok", list(five))
        for player, begins in zip(five, (TOLD[0], TOLD[1], TOLD[3], TOLD[7], TOLD[6]), strict=True):
            assert each["reasons"][player].startswith(begins)
    assert SECRET in capfd.readouterr().err
    failed = {(frame.sender, frame.body) for frame in tap.of("failed")}
    assert {sender for sender, _ in failed} == {*five}
    by_round = {player: sorted(body for sender, body in failed if sender == player) for player in five}
    assert all(bodies == by_round[five[0]] for bodies in by_round.values())
    for frame in tap.frames:
        assert b"compute_gradient" not in frame.body
        assert b"ValueError" not in frame.body
        assert b"failing.py" not in frame.body
        assert holds_nothing(frame.body)
    details = " ".join(record.detail for record in result.trace.records)
    assert UNTOLD.reason in details
    assert "compute_gradient" not in details


# -- a Python caller ----------


def test_a_caller_gets_a_warning_for_each_reason_and_the_result_has_it_in_every_round() -> None:
    with pytest.warns(asyncagg.OwnerWarning) as caught:
        result = given("sim")
    texts = [str(each.message) for each in caught]
    assert [Path(each.filename).name for each in caught] == ["test_failures.py"] * len(PLAYERS)
    for player, text, begins in zip(PLAYERS, texts, TOLD, strict=True):
        assert text.startswith(f"{player} failed in 3 of 3 rounds: {begins}")
    for each in result["rounds"]:
        for player, warning, begins in zip(PLAYERS, each["warnings"], TOLD, strict=True):
            assert warning.startswith(f"{player}: {begins}")


def test_owners_that_fail_alike_share_a_warning() -> None:
    with pytest.warns(asyncagg.OwnerWarning) as caught:
        result = given("sim", ways=("nothing",) * 5)
    (warning,) = caught
    who = "5 owners (data-owner-0, data-owner-1, data-owner-2 and 2 more)"
    assert str(warning.message) == f"{who} failed in 3 of 3 rounds: {TOLD[1]}"
    assert result["rounds"][0]["warnings"] == [f"{who}: {TOLD[1]}"]


def test_a_caller_that_asks_for_it_gets_an_exception_with_the_result() -> None:
    with pytest.raises(asyncagg.OwnerFailed, match="data-owner-1 failed in 3 of 3 rounds: compute_gradient must") as it:
        given("sim", on_owner_failure="raise")
    assert it.value.result["status"] == "ok"
    assert given("sim", ways=(), on_owner_failure="raise")["status"] == "ok"
    with pytest.raises(ValueError, match=r"^on_owner_failure is 'stop' \(one of 'warn', 'raise'\)$"):
        given("sim", on_owner_failure="stop")


# -- on the command line ----------


def folder(path: Path, engine: str, threat: str = "curious") -> Path:
    """A folder with the owners' module and a scenario."""
    shutil.copy(failing.__file__, path / "failing.py")
    scenario = {**failing.values(engine, threat), "workload": WORKLOAD}
    (path / "scenario.json").write_text(json.dumps(scenario))
    return path


def played(path: Path, *options: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of `asyncagg run` there."""
    process = start(path, "run", "scenario.json", "--out", "run", *options)
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


def result_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "run" / "result.json").read_text())
    return found


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_the_command_says_it_on_stderr(tmp_path: Path, engine: str) -> None:
    status, stdout, stderr = played(folder(tmp_path, engine), "--quiet")
    assert status == 0
    check_reasons(result_of(tmp_path)["rounds"])
    check_own(stderr)
    assert holds_nothing(stdout)
    warnings = [line for line in stdout.splitlines() if line.startswith("warning: ")]
    assert warnings[0].startswith("warning: 3 rounds, from round 0 on: data-owner-0: ValueError at failing.py:")
    assert warnings[-1] == "warning: and 5 more in result.json"


@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_between_processes_it_stands_in_the_log_of_the_owners_process_alone(tmp_path: Path, threat: str) -> None:
    status, stdout, stderr = played(folder(tmp_path, "processes", threat))
    assert status == 0
    rounds = result_of(tmp_path)["rounds"]
    own = (tmp_path / "run" / "logs" / f"{FLEET}.log").read_text()
    if threat == "curious":
        check_reasons(rounds)
        check_own(own)
        assert "warning: 3 rounds, from round 0 on: data-owner-0: ValueError at failing.py:" in stdout
    else:
        failed = [player for player in PLAYERS if player != "data-owner-5"]
        assert [each["reasons"] for each in rounds] == [dict.fromkeys(failed, UNTOLD.reason)] * 3
        assert "NaN became 0" in own
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file() and path.suffix != ".npz" and path.name != f"{FLEET}.log":
            text = path.read_text()
            assert holds_nothing(text), path
            assert threat == "curious" or "compute_gradient" not in text
    assert holds_nothing(stdout + stderr)


# -- on hosts, on loopback, with a tap on all channels ----------


@pytest.mark.asyncio(loop_factories=["real"])
@pytest.mark.parametrize("threat", ["curious", "lying"])
async def test_on_hosts_the_owners_log_has_it_in_full_and_the_model_owner_as_much_as_it_may_know(
    tmp_path: Path, threat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Tap()
    monkeypatch.setattr(process_spec, "TcpNetwork", lambda *args, **kw: tap._tapped(TcpNetwork(*args, **kw)))
    place = Place(tmp_path, found={**entries([FLEET]), FLEET: "127.0.0.1:0"})
    scenario = failing.values("hosts", threat, aggregation={"compute_nodes": 3})
    owners = [Failing(index) for index in range(COUNT)]
    experiment = prepare(parse(scenario), workload.given(owners, Model()))
    hosts = {name: Process(place, name, scenario, experiment=experiment) for name in ("model-owner", *NODES, FLEET)}
    lead, *others = hosts.values()
    async with asyncio.timeout(50):
        finished, *ends = await asyncio.gather(lead.lead(), *(each.serve() for each in others))
    assert ends == [None] * 4
    rounds = finished.result.to_json()["rounds"]
    if threat == "curious":
        check_reasons(rounds)
        check_own("\n".join(hosts[FLEET].lines))
    else:
        failed = [player for player in PLAYERS if player != "data-owner-5"]
        assert [each["reasons"] for each in rounds] == [dict.fromkeys(failed, UNTOLD.reason)] * 3
    assert len(tap.frames) > 100
    for frame in tap.frames:
        assert holds_nothing(frame.body)
        assert threat == "curious" or b"compute_gradient" not in frame.body
    for name, process in hosts.items():
        assert name == FLEET or holds_nothing("\n".join(process.lines))
    assert holds_nothing(json.dumps(finished.result.to_json()))
