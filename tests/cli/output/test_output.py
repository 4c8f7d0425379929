"""Where output goes: to a full disk, to nobody, to a terminal that obeys what it reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from support.cli import ROOT, SMALL, invoke, lines, scenario_file, start, strict_json

UNWRITTEN = "asyncagg: stdout: No space left on device\n"


@pytest.fixture
def full():
    """A file that takes nothing."""
    with open("/dev/full", "w") as file:
        yield file


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "small.toml"),
        ("check", "small.toml", "--json"),
        ("plan", "--owners", 10),
        ("plan", "--owners", 10, "--json"),
        ("run", "small.toml", "--quiet"),
        ("run", "small.toml", "--quiet", "--json"),
        ("verify", "mine"),
        ("schema",),
        ("--version",),
    ],
)
def test_a_full_stdout_is_one_line_with_status_1(tmp_path, full, arguments):
    scenario_file(tmp_path)
    if arguments[0] == "verify":
        assert invoke("run", tmp_path / "small.toml", "--out", tmp_path / "mine", "--quiet").exit_code == 0
    process = start(tmp_path, *arguments, stdout=full)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (1, UNWRITTEN)


def test_progress_that_cannot_be_written_ends_no_run(tmp_path, full):
    scenario_file(tmp_path)
    process = start(tmp_path, "run", "small.toml", "--out", "mine", stderr=full)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stdout.startswith("small: ok ")
    assert strict_json((tmp_path / "mine" / "result.json").read_text())["status"] == "ok"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing_but_what_is_read(tmp_path, closed):
    scenario_file(tmp_path)
    program = "from asyncagg.cli.main import main; main()"
    line = f'exec "$0" -c "$1" run small.toml --out mine {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert strict_json((tmp_path / "mine" / "result.json").read_text())["status"] == "ok"


def test_a_name_moves_no_cursor(tmp_path):
    scenario_file(tmp_path, SMALL.replace('"small"', r'"a\u001b[2Jb\nc"'))
    out = tmp_path / "mi\x1b[1mne"
    done = invoke("run", tmp_path / "small.toml", "--out", out)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].startswith(r"a\x1b[2Jb\nc: ok ")
    assert "\x1b" not in done.stdout + invoke("verify", out).stdout + invoke("check", "no\x1b\nsuch").stderr
    assert len(lines(invoke("check", "no\x1b\nsuch"))) == 1


def until_it_computes(process: subprocess.Popen[str]) -> None:
    """Wait until numpy is loaded: Python has begun, and the command with it."""
    while process.poll() is None and "numpy" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", [("check", "small.toml"), ("plan", "--owners", 1_000_000, "--threat", "lying")])
def test_a_signal_ends_what_only_answers(tmp_path, command, number, status):
    scenario_file(tmp_path)
    process = start(tmp_path, *command)
    until_it_computes(process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode in (status, -number)
    assert (stdout, "Traceback" in stderr) == ("", False)


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"gr\xf6\xdfe"), ("cp1252", "größe"), ("utf-8", "größe")])
def test_a_letter_that_stdout_lacks_is_an_escape(tmp_path, monkeypatch, encoding, shown):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    scenario_file(tmp_path, SMALL.replace("small", "größe"))
    process = start(tmp_path, "run", "small.toml", "--quiet", encoding=encoding)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert stdout.startswith(f"{shown}: ok (engine sim, ")


def test_what_check_prints_is_read_back_whatever_stdout_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    scenario_file(tmp_path, SMALL.replace("small", "層 größe 🙂"))
    stdout, _ = start(tmp_path, "check", "small.toml", encoding="cp1252").communicate(timeout=60)
    assert r"größe \U0001f642" in stdout
    assert tomllib.loads(stdout)["name"] == "層 größe 🙂"
