"""`asyncagg serve`: bad input is told before anything begins, and real processes play a run."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import invoke, lines, strict_json
from support.hosts import NODES, OWNERS, Place, free_ports, serve, small

import asyncagg
from asyncagg.runs.trace import digest

ANY = "[::]"
CRASH = "faults=[{kind = 'crash', players = ['data-owner-0'], phase = 'upload'}]"
PLAYERS = ("model-owner", *NODES, *OWNERS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder with everything in it, which is where the command is given."""
    monkeypatch.chdir(tmp_path)
    Path("scenario.json").write_text(json.dumps(small()))
    return Place(tmp_path)


def refused(player: str, *options: object, config: str = "keys/config.json", status: int = 2) -> list[str]:
    """What is said, in lines, by a command that does nothing."""
    before = sorted(Path().rglob("*"))
    done = invoke("serve", player, "--config", config, "scenario.json", "--wait", "0.2", *options)
    assert (done.exit_code, done.stdout) == (status, "")
    assert sorted(Path().rglob("*")) == before
    return list(lines(done))


def config(place: Place, **changes: str | None) -> str:
    """A config.json without keys that differs in some entries, or lacks them."""
    named = {name.replace("_", "-"): address for name, address in changes.items()}
    found = {**place.entries, **named}
    Path("other.json").write_text(json.dumps({name: at for name, at in found.items() if at is not None}, indent=1))
    return "other.json"


@pytest.mark.parametrize(
    ("player", "changes", "said"),
    [
        ("data-owner-0", {"compute_node_1": None}, r'^other.json: compute-node-1: is missing, but in the scenario'),
        ("data-owner-0", {"server1": "127.0.0.1:9"}, r"^other.json:9: server1: line 4 has compute-node-1 already"),
        ("data-owner-0", {"compute_node_1": "h:0"}, r"^other.json:4: compute-node-1: .*no port 0"),
        ("compute-node-1", {"compute_node_1": "no.invalid:9"}, r'^other.json:4: .*the host "no.invalid" is not found'),
        ("data-owner-0", {"compute_node_1": "10.0.0.9:9"}, r"^other.json: has no keys, and not all players"),
        ("data-owner-7", {}, r"^other.json: has no data-owner-7 \(model-owner, "),
    ],
)  # fmt: skip
def test_mistakes_in_the_config_are_told(place: Place, player: str, changes: dict[str, Any], said: str) -> None:
    (line,) = refused(player, config=config(place, **changes))
    assert re.match(said, line)


@pytest.mark.parametrize(
    ("player", "options", "said"),
    [
        ("data-owner-0", ["--listen", ANY], r"^--listen: data-owner-0 listens to nobody"),
        ("compute-node-0", ["--listen", "a b"], r'^--listen is "a b:\d+", whose host is "a b"'),
        ("compute-node-0", ["--listen", "127.0.0.1:0"], r"^--listen is .*could not know the port"),
        ("compute-node-0", ["--listen", "127.0.0.1:70000"], r"^--listen is .*there is no port 70000"),
        ("compute-node-0", ["--resume", "run"], r"^--resume: compute-node-0 has no run to go on with"),
        ("model-owner", ["--resume", "run"], r"^--resume run: there is no such folder \(of a run that was"),
        (
            "data-owner-0",
            ["--set", "engine=sim"],
            r"^--set engine=sim: engine: asyncagg serve plays on many hosts alone",
        ),
        ("model-owner", ["--resume", "run", "--out", "x"], r"^--out: goes with no --resume"),
        ("model-owner", ["--out", "keys"], r"^keys: exists and is not empty"),
        ("compute-node-0", ["--metrics", "a:b:c"], r"^--metrics is "),
        ("compute-node-0", ["--keys", "nowhere"], r"^nowhere: there is no such folder"),
        (
            "compute-node-0",
            ["--set", CRASH],
            r"hosts cannot act out",
        ),
        ("compute-node-0", ["--set", "workload.kind=python"], r"workload"),
    ],
)
def test_mistakes_in_options_are_told(place: Place, player: str, options: list[str], said: str) -> None:
    assert re.search(said, refused(player, *options)[0])


def test_open_doors_without_keys_must_be_asked_for(place: Place) -> None:
    here = config(place)
    (line,) = refused("compute-node-0", "--listen", ANY, config=here)
    assert line.endswith("(asyncagg keys makes them; or --insecure)")
    lying = ("--set", "aggregation.threat=lying", "--set", "encoding.rounding_draws=system")
    (line,) = refused("compute-node-0", "--insecure", *lying, config=here)
    assert 'threat "lying" needs identities' in line


@pytest.mark.parametrize("option", ["--listen", "--metrics"])
def test_an_address_in_use_fails_in_one_line(place: Place, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        (line,) = refused("compute-node-0", option, where, status=1)
    assert line.endswith(f" cannot listen on {where}: address already in use")


def test_key_files_that_others_can_read_are_refused(place: Place) -> None:
    Path("keys/compute-node-0/tls.key").chmod(0o640)
    (line,) = refused("compute-node-0")
    assert line.startswith("keys/compute-node-0/tls.key: is open to other users")
    Path("keys/data-owner-0/identities.json").unlink()
    (line,) = refused("data-owner-0")
    assert line.startswith("keys/data-owner-0/identities.json: there is no such file")


@pytest.mark.parametrize("form", ["text", "json"])
def test_who_cannot_be_reached_is_the_last_line(place: Place, form: str) -> None:
    done = invoke(
        "serve", "data-owner-0", "--config", "keys/config.json", "scenario.json", "--wait", "0.2", "--log", form
    )
    assert (done.exit_code, done.stdout) == (1, "")
    said = lines(done)
    assert len(said) == len(PLAYERS) + 2
    if form == "json":
        records = [strict_json(line) for line in said]
        assert [each["event"] for each in records] == ["note"] * 8 + ["failed"]
        last = records[-1]["detail"]
    else:
        assert said[len(PLAYERS)].startswith("waiting up to 0.2 s for model-owner at 127.0.0.1:")
        last = said[-1]
    assert "cannot reach model-owner at 127.0.0.1:" in last
    assert "connection refused" in last


# -- real processes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def ended() -> Iterator[ExitStack]:
    """Processes that are entered here do not outlive the test."""
    with ExitStack() as stack:
        yield stack


def begin(stack: ExitStack, place: Place, name: str, *options: object, log: str | None = None) -> subprocess.Popen[str]:
    process = serve(place, name, *options, log=None if log is None else place.folder / log)
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def asked(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as answer:  # 503: not everyone is there yet
        with answer:
            return str(answer.read().decode())


@pytest.mark.parametrize(
    ("how", "transport"),
    [((), "TLS 1.3"), pytest.param(("--insecure",), "insecure: plain TCP", marks=pytest.mark.long)],
)
def test_seven_processes_play_a_run(place: Place, ended: ExitStack, how: tuple[str, ...], transport: str) -> None:
    (port,) = free_ports(1)
    options = ("--set", "rounds=30", "--wait", "90", "--log", "json", *how)
    others = [begin(ended, place, name, *options) for name in PLAYERS[1:]]
    leader = begin(ended, place, "model-owner", *options, "--out", "run", "--metrics", port)
    seen: list[str] = []
    while not seen and leader.poll() is None:
        with suppress(OSError):  # it has not got so far
            seen = [asked(port, "/metrics"), asked(port, "/health")]
        time.sleep(0.05)
    assert [process.wait(60) for process in others] == [0] * 6
    result = json.loads(Path("run/result.json").read_text())
    assert (result["status"], result["transport"], len(result["rounds"])) == ("ok", transport, 30)
    assert "asyncagg_status" in seen[0]
    assert strict_json(seen[1])["player"] == "model-owner"
    events = [strict_json(line)["event"] for line in Path("compute-node-1.log").read_text().splitlines()]
    assert events[:7] == ["note"] * 7
    assert events[-1] == "finished"
    assert "failed" not in events
    lines = [line for name in PLAYERS for line in Path(f"{name}.log").read_text().splitlines()]
    said = [strict_json(line) for line in lines if line.startswith("{")]  # the rest is the model owner's summary
    assert [line for line in said if line["level"] != "info"] == []
    assert all(each["warnings"] == [] for each in result["rounds"])


LONGER = small(
    rounds=60,
    aggregation={"retries": 8},
    phases={"publish": {"deadline": "10 s"}, "advertise": {"deadline": "10 s"}, "upload": {"deadline": "10 s"}},
)


def until(process: subprocess.Popen[str], log: Path, text: str) -> None:
    """Return when a process has said this."""
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)


def until_later(process: subprocess.Popen[str], log: Path, since: int, text: str, count: int) -> None:
    """Return when it has said this so many times since the log had so many characters."""
    while log.read_text()[since:].count(text) < count:
        assert process.poll() is None, log.read_text()[since:]
        time.sleep(0.02)


def the_means(run: Path) -> dict[str, bytes]:
    with np.load(run / "means.npz") as found:
        return {name: found[name].tobytes() for name in found.files}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_killed_model_owner_is_resumed_to_the_same_means(place: Place, ended: ExitStack) -> None:
    Path("scenario.json").write_text(json.dumps(LONGER))
    others = [begin(ended, place, name) for name in PLAYERS[1:]]
    leader = begin(ended, place, "model-owner", "--out", "run")
    until(leader, Path("model-owner.log"), " round round=7 ")
    leader.kill()
    leader.wait()
    for name, process in zip(PLAYERS[1:], others, strict=True):
        until(process, Path(f"{name}.log"), "model-owner: lost, looked for up to 600 s")
    assert json.loads(Path("run/result.json").read_text())["reason"] == "interrupted"
    begin(ended, place, "model-owner", "--resume", "run", log="again.log")
    assert [process.wait(120) for process in others] == [0] * 6  # they were there all the time
    here = asyncagg.run(LONGER, engine="sim")
    assert the_means(Path("run")) == {f"round-{index}": mean.tobytes() for index, mean in here.means.items()}
    assert len(list(Path("ledgers").iterdir())) == 1  # one run, one ledger of each owner
    trace = Path("run/trace.jsonl").read_text().splitlines()
    assert dict.fromkeys(json.loads(line)["round"] for line in trace) == dict.fromkeys(range(LONGER["rounds"]))
    assert json.loads(Path("run/result.json").read_text())["trace_digest"] == digest(trace)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["compute-node-0", "compute-node-1", "data-owner-2"])
def test_who_is_killed_and_started_again_joins_the_next_attempt(place: Place, ended: ExitStack, name: str) -> None:
    Path("scenario.json").write_text(json.dumps(LONGER | {"rounds": 600}))
    processes = {each: begin(ended, place, each) for each in PLAYERS}
    leader, log = processes["model-owner"], Path("model-owner.log")
    until(leader, log, " round round=7 ")
    processes.pop(name).kill()
    until(leader, log, f" gone peer={name} ")
    again = begin(ended, place, name, log="again.log")
    until(leader, log, " round round=150 ")
    survivors = re.findall(r" round round=\d+ outcome=ok attempts=\d+ survivors=(\d)", log.read_text())
    assert survivors[-1] == "3"
    for process in (leader, *processes.values(), again):
        process.kill()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_without_the_model_owner_the_others_give_up_in_the_end(place: Place, ended: ExitStack) -> None:
    Path("scenario.json").write_text(json.dumps(LONGER | {"rounds": 100_000}))
    others = [begin(ended, place, name, "--wait", "5") for name in PLAYERS[1:]]
    leader = begin(ended, place, "model-owner", "--out", "run")
    for name, process in zip(PLAYERS[1:], others, strict=True):
        until(process, Path(f"{name}.log"), f"{name} ok")
    leader.kill()
    assert [process.wait(90) for process in others] == [1] * 6
    for name in PLAYERS[1:]:
        last = Path(f"{name}.log").read_text().splitlines()[-1]
        assert re.search(rf'{name} failed detail="model-owner lost: cannot reach model-owner at .* after 50 s', last)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["compute-node-0", "compute-node-1", "data-owner-2", "model-owner"])
def test_who_is_stopped_for_45_s_is_in_the_run_again(place: Place, ended: ExitStack, name: str) -> None:
    """Longer than keep-alives bear; deadlines and retries are those of every scenario."""
    Path("scenario.json").write_text(json.dumps(small(rounds=100_000, aggregation={"dropout": 0.4})))
    processes = {each: begin(ended, place, each) for each in PLAYERS}
    leader, log = processes["model-owner"], Path("model-owner.log")
    until(leader, log, " round round=7 ")
    processes[name].send_signal(signal.SIGSTOP)
    time.sleep(45)
    before = len(log.read_text())
    processes[name].send_signal(signal.SIGCONT)
    came_back = f" joined peer={'compute-node-1' if name == 'model-owner' else name}"
    until(leader, log, came_back)
    until_later(leader, log, before, " outcome=ok attempts=1 survivors=3 ", 20)
    for process in processes.values():
        assert process.poll() is None
        process.kill()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_an_interrupted_process_leaves_in_order(place: Place, ended: ExitStack) -> None:
    processes = {name: begin(ended, place, name) for name in (*PLAYERS[:4], PLAYERS[4])}
    until(processes["model-owner"], Path("model-owner.log"), f"joined peer={PLAYERS[4]}")
    for name, process in reversed(processes.items()):  # without the model owner the others would end by themselves
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130, name
        log = Path(f"{name}.log").read_text()
        (stopped,) = (line for line in log.splitlines() if "detail=interrupted" in line)
        assert f"info    {name} stopped" in stopped
        assert " error " not in log
        assert "Traceback" not in log
