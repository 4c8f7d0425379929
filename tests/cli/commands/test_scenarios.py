"""The scenarios that come along: listed, printed, copied, and found by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import SCENARIOS, invoke, lines

from asyncagg.scenario.reading.load import load

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_is_listed_in_a_line_of_its_own() -> None:
    listed = invoke("scenarios").stdout.splitlines()
    assert [line.split(maxsplit=1) for line in listed] == [
        [name, load(SCENARIOS / f"{name}.toml").description] for name in NAMES
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_printed_as_it_is(name: str) -> None:
    assert invoke("scenarios", name).stdout == (SCENARIOS / f"{name}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_the_same_experiment(name: str, tmp_path: Path) -> None:
    """With the data that it names."""
    assert invoke("scenarios", name, "-o", "mine.toml").exit_code == 0
    assert load("mine.toml").digest() == load(name).digest()


@pytest.mark.parametrize("there", ["mine.toml", "diurnal.csv"])
def test_what_is_there_stays(there: str, tmp_path: Path) -> None:
    Path(there).write_text("dear")
    done = invoke("scenarios", "diurnal", "-o", "mine.toml")
    assert (done.exit_code, done.stderr) == (2, f"{there}: is there already (a new file)\n")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["dear"]


def test_a_folder_that_is_missing_is_said() -> None:
    done = invoke("scenarios", "digits", "-o", "no/mine.toml")
    assert (done.exit_code, done.stderr) == (
        2,
        "no/mine.toml: No such file or directory (a file that can be written)\n",
    )


def test_a_name_that_none_has_is_said() -> None:
    done = invoke("scenarios", "digts")
    assert done.exit_code == 2
    assert lines(done) == ['asyncagg scenarios: NAME: "digts" is no scenario that comes along (did you mean "digits"?)']
    assert invoke("scenarios", "-o", "x.toml").exit_code == 2


def test_a_file_of_the_users_own_wins() -> None:
    assert load("digits").owners.count == 3
    Path("digits").write_text('name = "mine"\n')
    assert load("digits").name == "mine"


def test_a_name_that_is_nearly_one_is_said_on_every_way_in() -> None:
    for command in ("run", "check"):
        done = invoke(command, "digts")
        assert done.exit_code == 2
        assert (
            done.stderr == 'digts: there is no such file, and no such scenario comes along (did you mean "digits"?)\n'
        )
    listed = "there is no such file, and no such scenario comes along (`asyncagg scenarios` lists them)"
    assert invoke("run", "nosuchthing").stderr == f"nosuchthing: {listed}\n"
    assert invoke("run", "other.toml").stderr == "other.toml: there is no such file (the path of a scenario)\n"
