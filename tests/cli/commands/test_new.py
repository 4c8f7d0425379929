"""A folder to start from: what is in it, that it runs and is tested, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import ROOT, invoke


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize(("name", "test"), [("mine", "test_mine.py"), ("my-own_2", "test_my_own_2.py")])
def test_it_has_one_scenario_and_what_that_needs_and_its_test_passes(tmp_path: Path, name: str, test: str) -> None:
    done = invoke("new", name)
    assert (done.exit_code, done.stdout.splitlines()[1]) == (0, f"next: cd {name} && asyncagg run {name}.toml")
    folder = tmp_path / name
    there = sorted(path.name for path in folder.iterdir())
    assert there == sorted(["README.md", f"{name}.toml", "model.py", "owner.py", test])
    assert "$" not in "".join(path.read_text() for path in folder.iterdir())
    passed = python(folder, "-W", "error", "-m", "unittest")
    assert passed.returncode == 0, passed.stderr
    assert "Ran 1 test" in passed.stderr
    assert name in (folder / "README.md").read_text()


def test_its_test_finds_a_model_that_does_not_learn(tmp_path: Path) -> None:
    invoke("new", "mine")
    model = tmp_path / "mine" / "model.py"
    model.write_text(model.read_text().replace("0.5 * mean", "0.0 * mean"))
    assert python(tmp_path / "mine", "-m", "unittest").returncode == 1


def test_its_code_is_as_the_house_wants_it(tmp_path: Path) -> None:
    invoke("new", "mine")
    for check in (["check", "--ignore", "PT009,I001"], ["format", "--check"]):  # unittest comes with Python
        done = python(tmp_path, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), "mine")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", "../mine", "mine/x", "1st", "my own", "größe", "-x"])
def test_a_name_that_is_none_is_said(name: str, tmp_path: Path) -> None:
    done = invoke("new", "--", name)
    assert done.exit_code == 2
    assert done.stderr.startswith('asyncagg new: NAME: is "')
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = invoke("new", "mine")
    assert (done.exit_code, done.stderr) == (2, "mine: is there already (a new folder)\n")
    assert list((tmp_path / "mine").iterdir()) == []
