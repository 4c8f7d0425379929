"""The command line as such: help at once, usage errors in a line, the version."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.cli import invoke, lines

from asyncagg.version import __version__


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
