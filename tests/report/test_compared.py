"""Runs side by side: what differs is named, first of all the keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.cli import invoke, scenario_file

from asyncagg.report.compared import compared
from asyncagg.report.story import Story
from asyncagg.runs.directory import RESULT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories of three runs: one, the same again, and one against a lying lead."""
    folder = tmp_path_factory.mktemp("runs")
    scenario_file(folder)
    for name, *more in (("one",), ("again",), ("lying", "--set", "aggregation.threat=lying")):
        done = invoke("run", folder / "small.toml", "--engine", "sim", "--quiet", "--out", folder / name, *more)
        assert done.exit_code == 0, done.output
    return folder


def story(folder: Path, name: str) -> Story:
    return replace(Story.read(folder / name), folder=name)


def rows(*stories: Story) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in compared(stories)]
    return {first: rest for first, *rest in cells}


def test_the_same_run_again_differs_in_no_key(folder: Path) -> None:
    told = rows(story(folder, "one"), story(folder, "again"))
    assert not [row for row in told if "." in row and ":" not in row]
    assert "one, again: the same trace" in told
    assert len(set(told["sent by data owners"])) == 1


def test_keys_that_differ_come_first_then_figures(folder: Path) -> None:
    lines = list(compared([story(folder, "one"), story(folder, "lying")]))
    assert lines[0].split() == ["one", "lying"]
    keys = [line.split() for line in lines[1 : next(at for at, line in enumerate(lines) if line.startswith("status"))]]
    assert ["aggregation.threat", "curious", "lying"] in keys
    assert keys == sorted(keys)
    assert {key.partition(".")[0] for key, *_ in keys} == {"aggregation"}
    assert lines[-1].startswith("one, lying: the traces part at record ")


def test_figures_are_those_of_the_results(folder: Path) -> None:
    one, lying = story(folder, "one"), story(folder, "lying")
    told = rows(one, lying)
    good = [sum(each.status == "ok" for each in each.rounds) for each in (one, lying)]
    assert told["rounds with a mean"] == [f"{count} of {len(one.rounds)}" for count in good]
    sent = [sum(each.traffic["data-owner"].sent for each in each.rounds) for each in (one, lying)]
    assert sent[0] < sent[1]
    assert told["sent by data owners"][0] != told["sent by data owners"][1]


def test_the_first_record_that_differs_is_named(folder: Path) -> None:
    one = story(folder, "one")
    number = len(one.records) // 2
    changed = [*one.records]
    changed[number] = replace(changed[number], bytes=changed[number].bytes + 1)
    other = replace(one, folder="other", records=changed, result={**one.result, "trace_digest": "another"})
    said = list(compared([one, other]))[-1]
    assert said.startswith(f"one, other: the traces part at record {number}: ")
    assert f'bytes "{one.records[number].bytes}" or "{changed[number].bytes}"' in said
    shorter = replace(other, records=one.records[:-1])
    assert list(compared([one, shorter]))[-1].endswith("one of them ends there")


def test_the_command_says_it(folder: Path) -> None:
    done = invoke("report", folder / "one", folder / "lying")
    assert done.exit_code == 0
    assert "aggregation.threat" in done.stdout
    assert (folder / "one" / RESULT).exists()
