"""The command line as such: help at once, usage errors in a line, the version."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.cli import ROOT, invoke, lines

from asyncagg.cli.app import app
from asyncagg.version import __version__

COMMANDS = sorted(typer.main.get_command(app).commands)
MAIN = "from asyncagg.cli.main import main; main()"


def test_help_names_the_commands():
    said = invoke("--help").stdout
    assert all(f"\n  {command} " in said for command in ("run", "check", "schema", "plan"))


def test_help_imports_nothing_heavy():
    """What makes `--help` answer in under 0.3 s, whatever else runs on the machine."""
    script = (
        "import sys\nfrom asyncagg.cli.main import main\nsys.argv = ['asyncagg', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = 'numpy pydantic rich cryptography asyncio msgpack sklearn asyncagg.scenario asyncagg.engines'\n"
        "loaded = [name for name in heavy.split() if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


def test_version():
    done = invoke("--version")
    assert (done.exit_code, done.stdout) == (0, f"asyncagg {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ([], "asyncagg: "),
        (["rum"], "asyncagg: No such command 'rum'"),
        (["--colour"], "asyncagg: No such option"),
        (["run"], "asyncagg run: Invalid value for SCENARIO: is missing (a scenario, or --resume RUN_DIR)"),
        (["run", "a.toml", "b.toml"], "asyncagg run: "),
        (["run", "a.toml", "--seed", "x"], "asyncagg run: Invalid value for '--seed'"),
        (
            ["run", "a.toml", "--seed", "-1"],
            "asyncagg run: Invalid value for '--seed': -1 is not a whole number from 0 to",
        ),
        (["run", "a.toml", "--out", ""], "asyncagg run: Invalid value for '--out': it is empty (a folder)"),
        (["run", "a.toml", "--out", __file__], f"asyncagg run: Invalid value for '--out': {__file__} is a file"),
        (["run", "a.toml", "--set"], "asyncagg run: Option '--set' requires an argument"),
        (
            ["serve", "a", "b", "--config", "c", "--wait", "nan"],
            "asyncagg serve: Invalid value for '--wait': nan is not",
        ),
        (
            ["serve", "a", "b", "--config", "c", "--wait", "1e300"],
            "asyncagg serve: Invalid value for '--wait': 1e300 is",
        ),
        (["plan", "--owners", "ten"], "asyncagg plan: Invalid value for '--owners': ten is not a whole number from 1"),
        (["check"], "asyncagg check: Missing argument 'SCENARIO'"),
        (["schema", "more"], "asyncagg schema: "),
    ],
)
def test_bad_usage_is_one_line_with_status_2(arguments, start):
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = lines(done)
    assert line.startswith(start)
    assert line.endswith("--help)")


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("path", ["missing.toml", "", ".", "\0"])
def test_a_file_that_cannot_be_read_is_one_line(command, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(command, path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(lines(done)) == 1


@pytest.mark.parametrize("engine", ["warp", "cluster", "hosts", ""])
def test_an_engine_that_run_does_not_play_is_named_with_those_it_does(engine):
    done = invoke("run", "missing.toml", "--engine", engine)
    assert done.exit_code == 2
    assert lines(done) == [f'--engine "{engine}": is none of this command (sim, tcp, processes)']


# -- helps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["-h", "--help"])
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_command_has_a_help_under_both_names(command, asked):
    done = invoke(*([] if command is None else [command]), asked)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: asyncagg {command or '[OPTIONS]'} ")


def test_the_list_of_commands_says_of_each_in_one_line_all_that_its_help_says_first(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    listed = dict(re.findall(r"^  ([a-z]+) {2,}(\S.*)$", invoke("-h").stdout.partition("Commands:")[2], re.MULTILINE))
    assert sorted(listed) == COMMANDS
    for command, line in listed.items():
        assert line.endswith("."), "it goes on in the next line"
        assert "..." not in line
        assert f"\n  {line}\n" in invoke(command, "-h").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_two_examples_below_each_help_are_whole_and_are_understood(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    below = invoke(command, "-h").stdout.partition("  Examples:\n")[2]
    shown = [line.strip() for line in below.splitlines()]
    assert len(shown) == 2
    assert all(len(line) < 76 for line in shown)
    for line in shown:
        words = shlex.split(re.split(" [>|] ", line)[0])
        assert words[:2] == ["asyncagg", command]
        typer.main.get_command(app).commands[command].make_context(
            command, words[2:]
        )  # raises for what it does not take


def test_options_that_several_commands_take_are_the_same_everywhere():
    commands = typer.main.get_command(app).commands
    takers = {"as_json": set(), "overrides": set(), "seed": set(), "engine": set(), "quiet": set()}
    for shared, found in takers.items():
        having = {
            name: option for name, command in commands.items() for option in command.params if option.name == shared
        }
        found.update(having)
        assert len({(tuple(option.opts), option.metavar, option.help) for option in having.values()}) == 1, shared
    assert takers["as_json"] >= {"run", "demo", "check", "plan", "verify", "calibrate", "scenarios"}
    assert takers["overrides"] == takers["seed"] == {"run", "check", "serve"}
    assert takers["engine"] == {"run", "check"}


# -- completion, as typer's own scripts ask for it --------------------------------------------------------------------


def completed(words: str, folder: Path) -> list[str]:
    asked = {"_ASYNCAGG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", MAIN],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | asked,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_commands_options_and_scenarios(tmp_path):
    assert completed("asyncagg sc", tmp_path) == ["schema", "scenarios"]
    assert completed("asyncagg run --res", tmp_path) == ["--resume"]
    assert completed("asyncagg run digits", tmp_path) == ["digits", "digits-with-dropouts"]
    assert completed("asyncagg scenarios diu", tmp_path) == ["diurnal"]


# -- systems ----------------------------------------------------------------------------------------------------------

NO_SUCH = "asyncagg runs on Linux and macOS, and this is win32 (on Windows: in WSL, which is a Linux)"


def on_windows(program: str) -> subprocess.CompletedProcess[str]:
    """A process that takes itself for one on Windows, where neither `fcntl` nor `resource` can be imported."""
    before = "import sys; sys.platform = 'win32'; sys.modules['fcntl'] = sys.modules['resource'] = None; "
    return subprocess.run(
        [sys.executable, "-c", before + program], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_system_that_lacks_what_runs_need_is_one_line():
    done = on_windows(MAIN)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{NO_SUCH}\n")
    done = on_windows("import asyncagg; print(asyncagg.__version__); asyncagg.run")
    assert (done.returncode, done.stdout) == (1, f"{__version__}\n")
    assert done.stderr.splitlines()[-1] == f"ImportError: {NO_SUCH}"
