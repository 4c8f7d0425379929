"""Files, bases and overrides put together."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from asyncagg.scenario import Scenario, parse
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.faults import ByFraction, DropFault
from asyncagg.scenario.schema.workload import Digits, Python, Synthetic, Vectors


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, *overrides: str, **changes: Any) -> Scenario:
    Path("a.toml").write_text(text)
    return load("a.toml", overrides, **changes)


def test_a_file_in_toml_and_the_same_in_json() -> None:
    values = {
        "name": "x",
        "owners": {"count": 5},
        "encoding": {"clip": 4},
        "faults": [{"kind": "drop", "players": ["data-owner-1"], "phase": "upload"}],
    }
    Path("a.json").write_text(json.dumps(values))
    text = 'name = "x"\nowners.count = 5\nencoding.clip = 4\n[[faults]]\nkind = "drop"\n'
    scenario = loaded(text + 'players = ["data-owner-1"]\nphase = "upload"\n')
    assert scenario == load("a.json") == parse(values) == load(Path("a.json"))
    assert scenario.encoding.clip == 4.0
    assert isinstance(scenario.encoding.clip, float)


def test_a_byte_order_mark_and_windows_line_ends() -> None:
    Path("a.toml").write_bytes(b'\xef\xbb\xbfname = "x"\r\nseed = 3\r\n')
    assert load("a.toml").seed == 3


def test_bases_give_defaults_table_by_table_and_lists_as_a_whole() -> None:
    Path("bases").mkdir()
    Path("bases/root.toml").write_text(
        'name = "root"\nseed = 1\nrounds = 7\nworkload.hidden = [8, 8]\n[owners]\ncount = 5\nper_round = 2\n'
    )
    Path("bases/middle.toml").write_text('extends = "root.toml"\nseed = 2\n[owners]\nper_round = 3\n')
    scenario = loaded('extends = "bases/middle.toml"\nname = "top"\nworkload.hidden = [4]\n')
    assert (scenario.name, scenario.seed, scenario.rounds) == ("top", 2, 7)
    assert (scenario.owners.count, scenario.owners.per_round) == (5, 3)
    assert isinstance(scenario.workload, Digits)
    assert scenario.workload.hidden == (4,)


def test_a_base_may_be_json_and_absolute(tmp_path: Path) -> None:
    Path("b.json").write_text('{"name": "b", "seed": 4}')
    assert loaded(f"extends = {json.dumps(str(tmp_path / 'b.json'))}").seed == 4


def test_a_mapping_may_extend_a_file(tmp_path: Path) -> None:
    Path("b.toml").write_text('name = "b"\nseed = 4\n')
    assert parse({"extends": "b.toml", "rounds": 2}, base=tmp_path).seed == 4


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("name=3-drop", "3-drop"),
        ('name="3"', "3"),
        ("name=a = b", "a = b"),
        ("name= 40 ms", " 40 ms"),
        ("name=[1", "[1"),
        ("name=1\nseed = 4", "1\nseed = 4"),
        ("name='''x'''", "x"),
    ],
)
def test_a_value_is_toml_if_it_parses_and_else_text(override: str, expected: str) -> None:
    assert loaded('name = "x"', override).name == expected


def test_overrides_reach_every_place() -> None:
    scenario = loaded(
        'name = "x"\n[[faults]]\nkind = "drop"\nphase = "upload"\nrounds = [1, 2]\nplayers.fraction = 0.1\n',
        "owners.count=8",
        "aggregation={protocol = 'secagg', threshold = 5}",
        "aggregation.minimum_cohort=4",
        "faults.0.players.fraction=0.5",
        "faults.0.rounds.1=7",
        "phases.upload.deadline=5 s",
        "workload.hidden=[3, 4]",
        "workload.hidden.1=5",
    )
    assert scenario.owners.count == 8
    assert (scenario.aggregation.protocol, scenario.aggregation.threshold) == ("secagg", 5)
    assert scenario.aggregation.minimum_cohort == 4
    assert scenario.phases["upload"].deadline_ns == 5_000_000_000
    assert isinstance(scenario.workload, Digits)
    assert scenario.workload.hidden == (3, 5)
    (fault,) = scenario.faults
    assert isinstance(fault, DropFault)
    assert fault.players == ByFraction(fraction=0.5)
    assert [number for number in range(10) if number in fault.rounds] == [1, 7]


def test_changes_win_over_overrides_and_those_over_the_file() -> None:
    text = 'name = "x"\nengine = "tcp"\nseed = 1\n'
    assert loaded(text, "seed=2", seed=3, engine="sim").seed == 3
    assert loaded(text, "seed=2", seed=None, engine=None).seed == 2
    assert loaded(text, "seed=2", "seed=5").seed == 5
    assert loaded(text, **{"aggregation.protocol": "plain"}).aggregation.protocol == "plain"


def test_overrides_leave_nothing_behind_in_values_given() -> None:
    values = {"name": "x", "owners": {"count": 3}, "extends": "b.toml"}
    Path("b.toml").write_text("[owners]\nper_round = 2")
    parse(values)
    assert values == {"name": "x", "owners": {"count": 3}, "extends": "b.toml"}


def test_another_kind_of_workload_forgets_the_keys_of_the_former() -> None:
    text = 'name = "x"\n[workload]\nkind = "digits"\nhidden = [4]\nmodel = "mlp"\n'
    scenario = loaded(text, "workload.kind=synthetic", "workload.dimension=12")
    assert scenario.workload == Synthetic(dimension=12)
    Path("b.toml").write_text(text)
    assert loaded('extends = "b.toml"\n[workload]\nkind = "synthetic"\n').workload == Synthetic()


def test_the_last_choice_of_players_counts() -> None:
    text = 'name = "x"\n[[faults]]\nkind = "drop"\nphase = "upload"\nplayers = { count = 2 }\n'
    (fault,) = loaded(text, "faults.0.players.fraction=0.5").faults
    assert fault.players == ByFraction(fraction=0.5)


def test_paths_start_at_the_file_that_says_them(tmp_path: Path) -> None:
    Path("bases").mkdir()
    Path("bases/v.npz").touch()
    Path("own.npz").touch()
    Path("bases/b.toml").write_text('name = "b"\n[workload]\nkind = "vectors"\nfile = "v.npz"\n')
    text = 'extends = "bases/b.toml"\n'
    assert loaded(text).workload == Vectors.model_validate({"kind": "vectors", "file": str(tmp_path / "bases/v.npz")})
    for override in ("workload.file=own.npz", "workload.file=bases/../own.npz"):
        workload = loaded(text, override).workload
        assert isinstance(workload, Vectors)
        assert workload.file == tmp_path / "own.npz"


def test_modules_are_looked_for_beside_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "sub" / "code").mkdir(parents=True)
    text = 'name = "x"\n[workload]\nkind = "python"\nowner = "m:Owner"\nmodel_owner = "m.sub:Model"\n'
    Path("sub/a.toml").write_text(text)
    scenario = load("sub/a.toml")
    assert isinstance(scenario.workload, Python)
    assert scenario.workload.path == scenario.base == tmp_path / "sub"
    assert load("sub/a.toml", ["workload.path=code"]).base == tmp_path / "sub" / "code"


def test_the_base_is_the_folder_of_the_scenario(tmp_path: Path) -> None:
    Path("sub").mkdir()
    Path("sub/a.toml").write_text('name = "x"')
    assert load("sub/a.toml").base == Path("sub")
    assert load(os.fspath(tmp_path / "sub" / "a.toml")).base == tmp_path / "sub"
    assert parse({"name": "x"}, base=tmp_path).base == tmp_path
