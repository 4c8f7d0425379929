"""`asyncagg demo`: what it shows, whatever the terminal; and the real thing, process by process."""

from __future__ import annotations

import os
import re
import signal
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from support.cli import IN_TIME, invoke, lines, start, strict_json

from asyncagg.cli.demo.board import PHASES, Board
from asyncagg.cli.demo.scenario import OWNER_PROCESSES, demo_scenario, introduction
from asyncagg.cli.demo.show import LineShow, LiveShow
from asyncagg.cli.demo.view import DemoView
from asyncagg.cli.output.progress import Steady
from asyncagg.engines.experiment import prepare
from asyncagg.engines.outlook import Outlook
from asyncagg.engines.processes.parent import ProgressListener
from asyncagg.protocols.names import Label
from asyncagg.runs.result import RoundResult, Traffic
from asyncagg.scenario import draws


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def board_of(owners=3, rounds=20, dropouts=False):
    clock = Clock()
    board = Board(demo_scenario(owners, rounds, dropouts), clock)
    return board, clock


def everyone_ready(onlooker, board):
    for number, name in enumerate(board.processes):
        onlooker.process(name, None, "starts")
        onlooker.process(name, 4000 + number, "ready")


def ended(round_index, survivors, **given):
    """A round that went well."""
    took = {"total": 0.021, **dict.fromkeys(PHASES, 0.0035)}
    metrics = {"loss": 0.31, "accuracy": 0.912}
    traffic = {"data-owner": Traffic(1000, 500), "compute-node": Traffic(250, 1000)}
    return RoundResult(
        round_index, "ok", survivors=survivors, seconds=took, metrics=metrics, traffic=traffic, exact=True, **given
    )


def picture(board, width=80, height=24):
    """What stands in a terminal of this size."""
    file = StringIO()
    console = Console(file=file, width=width, height=height, color_system=None, force_terminal=True, markup=False)
    console.print(DemoView(board), soft_wrap=False)
    return file.getvalue().splitlines()


def row(shown, start):
    (line,) = [line for line in shown if line.startswith(start + " ")]
    return " ".join(line.split())


# -- the scenario ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owners", [3, 4, 5, 8, 9, 50, 499, 500])
@pytest.mark.parametrize("dropouts", [False, True])
def test_every_number_of_owners_makes_a_safe_scenario_in_few_processes(owners, dropouts):
    if dropouts and owners == 3:
        return
    scenario = demo_scenario(owners, 20, dropouts)
    board = Board(scenario, Clock())
    assert sum(process.role == "data-owner" for process in board.processes.values()) == min(
        -(-owners // scenario.owners.per_process), OWNER_PROCESSES
    )
    silent = [draws.dropped(scenario, index) for index in range(20)]
    assert any(silent) == dropouts
    outlook = Outlook(prepare(scenario))
    assert max(len([phase for phase in each.values() if phase == "upload"]) for each in silent) <= (
        owners - outlook.smallest_cohort
    )
    assert all(len(line) < 80 for line in introduction(scenario))


def test_a_single_round_has_its_dropouts_as_well():
    assert draws.dropped(demo_scenario(5, 1, True), 0)
    assert [draws.dropped(demo_scenario(5, 2, True), index) != {} for index in (0, 1)] == [False, True]


def test_the_introduction_says_what_happens_to_whom():
    text = " ".join(introduction(demo_scenario(50, 20, True)))
    assert text.startswith("12 processes on this machine")
    assert "50 data owners in 8 processes" in text
    assert "rounds 1, 7, 13 and 19: 10 of the 50 owners fall silent before the upload" in text
    assert "rounds 4, 10 and 16: 1 of the 50 owners falls silent after the upload" in text
    assert len(list(introduction(demo_scenario(3, 20, False)))) <= 3


# -- the board and its picture ---------------------------------------------------------------------------------------


def test_both_shows_are_what_the_engine_tells():
    board, _ = board_of()
    assert isinstance(LiveShow(board, Console(file=StringIO())), ProgressListener)
    assert isinstance(LineShow(board, Steady(file=StringIO())), ProgressListener)


def test_a_row_for_each_process():
    board, clock = board_of()
    assert row(picture(board), "model-owner") == "model-owner"
    board.process("model-owner", None, "starts")
    clock.now += 1.25
    shown = picture(board)
    assert shown[0].split() == ["asyncagg", "demo:", "processes", "start", "1.2", "s"]
    assert row(shown, "model-owner") == "model-owner starts"
    everyone_ready(board, board)
    assert [row(picture(board), name) for name in board.processes] == [
        "model-owner 4000 ready",
        "compute-node-0 4001 ready",
        "compute-node-1 4002 ready",
        "compute-node-2 4003 ready",
        "data-owner-0 4004 ready",
        "data-owner-1 4005 ready",
        "data-owner-2 4006 ready",
    ]


def test_phases_as_they_happen():
    board, clock = board_of()
    everyone_ready(board, board)
    for phase in ("publish", "advertise", "share", "upload"):
        board.phase(Label(0, 0), phase)
        clock.now += 0.005
    clock.now += 1.5
    shown = picture(board)
    assert "round 0, 0 of 20 done" in shown[0]
    assert row(shown, "publish").split() == list(PHASES)
    assert row(shown, "5 ms") == "5 ms 5 ms 5 ms 1.5 s"
    assert row(shown, "compute-node-0").endswith("adds masked vectors that it cannot read")
    assert row(shown, "data-owner-1").endswith("sends its gradient, masked")
    board.phase(Label(0, 1), "publish")
    assert board.current == "publish"  # another attempt begins anew


def test_the_end_of_a_round_says_who_knows_what():
    board, _ = board_of(owners=5, dropouts=True)
    everyone_ready(board, board)
    (silent,) = draws.dropped(board.scenario, 1)
    gone = f"data-owner-{silent}"
    others = [f"data-owner-{index}" for index in range(5) if index != silent]
    for phase in ("publish", "advertise", "share", "upload"):
        board.phase(Label(1, 0), phase)
    assert row(picture(board), gone).endswith("ready silent, as asked")
    board.ended(ended(1, others, dropped={gone: "upload"}, silent_after={others[0]: "unmask"}))
    board.phase(Label(1, 0), "reveal")  # overtaken by the end of its round
    shown = picture(board, width=120)
    assert row(shown, gone).endswith("left out, silent from upload on")
    failed = ended(1, others, dropped={gone: "publish"}, reasons={gone: "ValueError at mine.py:20"})
    board.ended(failed)
    assert row(picture(board, width=120), gone).endswith("left out: ValueError at mine.py:20")
    assert row(shown, others[0]).endswith("in the sum, though silent in unmask")
    assert row(shown, "model-owner").endswith("knows the mean of 4 owners, no single gradient")
    assert row(shown, "compute-node-2").endswith("knows its slice of the sum of 4 owners, no more")
    assert row(shown, "1") == (
        f"1 4 of 5 0.3100 0.9120 1.25 kB 21 ms left out: owner {silent}; silent in unmask: owner {others[0][-1]}"
    )


def test_fleets_are_counted():
    board, _ = board_of(owners=50, dropouts=True)
    everyone_ready(board, board)
    for phase in PHASES[:4]:
        board.phase(Label(1, 0), phase)
    silent = draws.dropped(board.scenario, 1)
    fleet = next(process for process in board.processes.values() if f"data-owner-{min(silent)}" in process.players)
    here = sum(f"data-owner-{index}" in fleet.players for index in silent)
    assert f"{here} of 7 silent, as asked" in row(picture(board), fleet.name)
    survivors = [f"data-owner-{index}" for index in range(50) if index not in silent]
    board.ended(ended(1, survivors, dropped={f"data-owner-{index}": "upload" for index in silent}))
    shown = picture(board, width=120)
    assert row(shown, fleet.name).endswith(f"{7 - here} of 7 in the sum")
    assert f"left out: owner {min(silent)} and 9 others" in row(shown, "1")


def test_deaths_and_restarts_are_seen():
    board, _ = board_of()
    everyone_ready(board, board)
    board.phase(Label(0, 0), "publish")
    assert board.process("compute-node-1", 4002, "was ended by SIGKILL").lost
    assert row(picture(board), "compute-node-1") == "compute-node-1 4002 SIGKILL lost (SIGKILL)"
    board.process("compute-node-1", 4002, "starts")
    assert row(picture(board), "compute-node-1") == "compute-node-1 starts again lost (SIGKILL)"
    board.process("compute-node-1", 4100, "ready")
    assert row(picture(board), "compute-node-1").startswith("compute-node-1 4100 ready again waits")
    for words in ("ended with status 1: MemoryError (see x.log)", "in some new way that is long to tell"):
        assert board.process("compute-node-1", 4100, words).lost
    assert not board.process("compute-node-1", 4100, "ended with status 0").lost


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("owners", [3, 50])
def test_nothing_wraps_and_nothing_moves(width, owners):
    board, clock = board_of(owners)
    heights = [len(picture(board, width))]
    everyone_ready(board, board)
    for index in range(14):
        board.phase(Label(index, 0), "publish")
        clock.now += 61.7
        reason = "compute-node-1: connection lost, and a long story about how it came to that" * (index == 7)
        board.ended(ended(index, ["data-owner-0"], reason=reason or None, attempts=1 + (index == 7)))
        shown = picture(board, width)
        assert all(cell_len(line) <= width for line in shown)
        heights.append(len(shown))
    assert set(heights) == {23}


def test_a_run_without_a_mean_is_shown_as_that():
    board, _ = board_of()
    everyone_ready(board, board)
    board.ended(RoundResult(0, "skipped", reason="too few [/owners]", seconds={"total": 1.0}))
    shown = picture(board)
    assert row(shown, "0") == "0 skipped 0 B 1 s too few [/owners]"
    assert row(shown, "model-owner").endswith("has learnt nothing")
    assert row(shown, "data-owner-0").endswith("no sum")


def test_live_on_a_terminal():
    """The picture is drawn over itself, the last one stays."""
    board, _ = board_of(rounds=2)
    file = StringIO()
    console = Console(file=file, width=80, height=24, force_terminal=True)
    with LiveShow(board, console, rest=0) as show:
        everyone_ready(show, board)
        for index in range(2):
            show.phase(Label(index, 0), "publish")
            show(ended(index, ["data-owner-0", "data-owner-1", "data-owner-2"]))
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue().rpartition("\x1b[2K")[2])
    assert "round 1, 2 of 2 done" in last
    assert last.count("3 of 3") == 2


def test_plain_lines_elsewhere():
    board, _ = board_of()
    file = StringIO()
    with LineShow(board, Steady(file=file, width=20, soft_wrap=True)) as show:
        everyone_ready(show, board)
        show.phase(Label(0, 0), "publish")
        show.process("data-owner-2", 4006, "was ended by SIGKILL")
        for name in list(board.processes)[:-1]:
            show.process(name, 1, "ended with status 0")
    assert file.getvalue().splitlines() == [
        *(f"{name}: process {4000 + number} is ready" for number, name in enumerate(board.processes)),
        "data-owner-2: process 4006 was ended by SIGKILL",
        "6 of 7 processes have ended in order",
    ]


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--owners", "2"], "--owners"),
        (["--owners", "501"], "--owners"),
        (["--owners", "3", "--drop"], "3 are too few for --drop"),
        (["--rounds", "0"], "--rounds"),
        (["--port", "65536"], "--port"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = invoke("demo", *arguments)
    assert done.exit_code == 2
    assert len(lines(done)) == 1
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_refused(tmp_path):
    (tmp_path / "kept").touch()
    done = invoke("demo", "--out", tmp_path)
    assert done.exit_code == 2
    assert lines(done) == [f"{tmp_path}: exists and is not empty (a new folder, nothing is overwritten)"]


def test_the_help_says_that_there_is_no_page_yet():
    assert " ".join(invoke("demo", "--help").stdout.split()).count("There is no page yet") == 2


# -- the real thing --------------------------------------------------------------------------------------------------


def children(parent):
    """Process ids of the parent's children that run, by the process table."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):  # gone meanwhile
            continue
        if int(above) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found


def until_ready(process, count):
    """Process ids of the demo's children, as it tells them on stderr."""
    pids = []
    for line in process.stderr:
        found = re.fullmatch(r"[a-z0-9.-]+: process (\d+) is ready", line.rstrip())
        pids += [int(found[1])] if found else []
        if len(pids) == count:
            break
    return pids


def there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_seven_processes_end_well(tmp_path):
    process = start(tmp_path, "demo", "--no-browser", "--port", 0, "--rounds", 2)
    pids = until_ready(process, 7)
    assert sorted(children(process.pid)) == sorted(pids)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stderr.splitlines()[-1] == "7 of 7 processes have ended in order"
    assert not any(map(there, pids))
    run = tmp_path / "runs" / "demo-0-1"
    result = strict_json((run / "result.json").read_text())
    assert (result["status"], result["engine"], result["transport"]) == ("ok", "processes", "TLS 1.3")
    assert [each["exact"] for each in result["rounds"]] == [True, True]
    told = " ".join(stdout.split())
    assert "Nobody but its owner saw an input: of the vectors sent, 18 were masked, 6 slices of a sum and 0 in" in told
    assert all(" ".join(sentence.split()) in told for sentence in result["privacy"]["opens_an_input"])
    assert "run directory: runs/demo-0-1" in stdout
    assert "    asyncagg verify runs/demo-0-1\n" in stdout


@pytest.mark.long
def test_dropouts_on_request(tmp_path):
    process = start(tmp_path, "demo", "--drop", "--rounds", 5, "--json", "--out", "mine")
    stdout, stderr = process.communicate(timeout=100)
    assert process.returncode == 0, stderr
    result = strict_json(stdout)
    assert result == strict_json((tmp_path / "mine" / "result.json").read_text())
    assert "1 of the 5 owners falls silent before the upload" in stderr
    rounds = result["rounds"]
    assert set(rounds[1]["dropped"].values()) == {"upload"}
    assert len(rounds[1]["survivors"]) == 4
    assert set(rounds[4]["silent_after"].values()) == {"unmask"}
    assert result["privacy"]["ledger"] == []
    assert invoke("verify", tmp_path / "mine").exit_code == 0


@pytest.mark.long
def test_fleets_share_processes(tmp_path):
    process = start(tmp_path, "demo", "--owners", 50, "--rounds", 2)
    assert len(until_ready(process, 12)) == 12
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 0, stderr


@pytest.mark.long
def test_a_process_that_is_killed_comes_back(tmp_path):
    process = start(tmp_path, "demo", "--rounds", 60)
    pids = {}
    for line in process.stderr:
        if found := re.fullmatch(r"([a-z0-9-]+): process (\d+) is ready", line.rstrip()):
            pids.setdefault(found[1], int(found[2]))
        if line.startswith("[ 5/60]"):
            break
    os.kill(pids["compute-node-1"], signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=110)
    assert process.returncode == 0, stderr
    assert f"compute-node-1: process {pids['compute-node-1']} was ended by SIGKILL" in stderr
    assert len(re.findall("compute-node-1: process .* is ready", stderr)) == 1
    assert "rounds: 60 of 60 with a mean" in stdout


@pytest.mark.long
@pytest.mark.parametrize("when", ["starting", "running"])
def test_ctrl_c_leaves_nothing(tmp_path, when):
    process = start(tmp_path, "demo", "--rounds", 1000, "--out", "mine")
    pids = until_ready(process, 1 if when == "starting" else 7)
    if when == "running":
        process.stderr.readline()
    pids = children(process.pid)
    assert len(pids) == 7
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < IN_TIME
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.splitlines()[-1] == "demo: interrupted, what there is of the run is in mine"
    assert "Traceback" not in stderr
    assert not any(map(there, pids))
    result = strict_json((tmp_path / "mine" / "result.json").read_text())
    assert (result["status"], result["reason"]) == ("failed", "interrupted")
