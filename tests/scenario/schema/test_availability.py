"""When owners are there: read out of a file, held by the scenario, refused with the file's line."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.scenario import Scenario, ScenarioError, parse
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.availability import AvailabilityFault, seconds, written

TIME = "seconds since the start of the run, such as 7200 or 0.5"
LINE = "an owner, and from and to in seconds: data-owner-3,0,7200"
TEXT = 'from and to in seconds, such as "0-7200, 9000-10800.5"'
OWNERS = "data-owner-0, data-owner-1, data-owner-2"
HEADER = "owner,from,to\n"
S = 1_000_000_000

TRACE = """\
# two owners of three
owner,from,to

data-owner-2,0,1.5
data-owner-0, 0.000000001 , 7200   # after the first
data-owner-2,4,8
data-owner-2,8,9.25
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names of files, so that lines are the same everywhere."""
    monkeypatch.chdir(tmp_path)


def having(*tables: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"name": "x", "faults": [{"kind": "availability", **table} for table in tables], **keys}


def intervals(scenario: Scenario, fault: int = 0) -> dict[str, tuple[int, ...]]:
    table = scenario.faults[fault]
    assert isinstance(table, AvailabilityFault)
    return table.intervals


def refusal(values: dict[str, Any]) -> str:
    """The one line of the mistake, without its source."""
    with pytest.raises(ScenarioError) as caught:
        parse(values)
    (line,) = caught.value.lines
    return line.removeprefix("scenario: ")


def test_a_file_says_when_owners_are_there() -> None:
    Path("x.csv").write_text(TRACE)
    assert intervals(parse(having({"file": "x.csv"}))) == {
        "data-owner-2": (0, 3 * S // 2, 4 * S, 37 * S // 4),  # the last two touch, and are one
        "data-owner-0": (1, 7200 * S),
    }


def test_the_scenario_holds_what_the_file_said_wherever_it_goes(tmp_path: Path) -> None:
    """Normalised, it loads without the file; equality and digest are of the intervals alone."""
    Path("sub").mkdir()
    Path("sub/x.csv").write_text(TRACE)
    Path("sub/a.toml").write_text('name = "x"\n[[faults]]\nkind = "availability"\nfile = "x.csv"\n')
    scenario = load("sub/a.toml")
    Path("sub/x.csv").unlink()
    text = scenario.normalised_toml()
    assert 'data-owner-2 = "0-1.5, 4-9.25"' in text
    assert "x.csv" not in text
    Path("b.toml").write_text(text)
    again = load("b.toml")
    assert (again, again.digest(), again.normalised_toml()) == (scenario, scenario.digest(), text)
    other = parse(having({"intervals": {"data-owner-2": "0-1.5, 4-9.25"}}))
    assert other != scenario
    assert other.digest() != scenario.digest()


def test_the_path_starts_at_the_file_that_says_it() -> None:
    Path("bases").mkdir()
    Path("bases/x.csv").write_text(TRACE)
    Path("bases/b.toml").write_text('name = "b"\n[[faults]]\nkind = "availability"\nfile = "x.csv"\n')
    Path("a.toml").write_text('name = "a"\nextends = "bases/b.toml"\n')
    Path("own.csv").write_text(HEADER + "data-owner-1,5,6\n")
    assert set(intervals(load("a.toml"))) == {"data-owner-0", "data-owner-2"}
    assert intervals(load("a.toml", ["faults.0.file=own.csv"])) == {"data-owner-1": (5 * S, 6 * S)}


def test_two_files_may_name_different_owners() -> None:
    Path("x.csv").write_text(TRACE)
    both = parse(having({"file": "x.csv"}, {"intervals": {"data-owner-1": "3-4"}}))
    assert intervals(both, 1) == {"data-owner-1": (3 * S, 4 * S)}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", f"1: no owner is named ({LINE})"),
        (HEADER, f"2: no owner is named ({LINE})"),
        ("data-owner-1,0,5\n", '1: is "data-owner-1,0,5" (the header owner,from,to)'),
        (HEADER + "data-owner-1,0\n", f'2: is "data-owner-1,0" ({LINE})'),
        (HEADER + "data-owner-1,0,5,9\n", f'2: is "data-owner-1,0,5,9" ({LINE})'),
        (HEADER + ",0,5\n", f'2: is ",0,5" ({LINE})'),
        (HEADER + "data-owner-1,0 s,5\n", f'2: from is "0 s" ({TIME})'),
        (HEADER + "data-owner-1,0,2 h\n", f'2: to is "2 h" ({TIME})'),
        (HEADER + "data-owner-1,-1,2\n", f'2: from is "-1" ({TIME})'),
        (HEADER + "data-owner-1,0,1e3\n", f'2: to is "1e3" ({TIME})'),
        (HEADER + "data-owner-1,0,9999999999\n", "2: to is 9999999999, too late (at most 9223372036)"),
        (HEADER + "data-owner-1,5,5\n", '2: "data-owner-1" is there from 5 s to 5 s (from before to)'),
        (HEADER + "data-owner-1,5,4.5\n", '2: "data-owner-1" is there from 5 s to 4.5 s (from before to)'),
        (
            HEADER + "data-owner-1,0,5\ndata-owner-2,0,5\n\ndata-owner-1,4,6\n",
            '5: "data-owner-1" is there from 4 s, and before that until 5 s '
            "(an owner's intervals in order, without overlap)",
        ),
        (
            HEADER + "data-owner-1,7,9\ndata-owner-1,1,2\n",
            '3: "data-owner-1" is there from 1 s, and before that until 9 s '
            "(an owner's intervals in order, without overlap)",
        ),
        (HEADER + "data-owner-1,0,5\ndata-owner-3,0,5\n",
         f'3: "data-owner-3" is no data owner of this scenario ({OWNERS})'),
        (
            HEADER + "data-owner-01,0,5\ncompute-node-0,0,5\n",
            f'2: "data-owner-01" and 1 other are no data owners of this scenario ({OWNERS})',
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, wrong: str, tmp_path: Path) -> None:
    Path("x.csv").write_text(text)
    assert refusal(having({"file": "x.csv"})) == f"faults.0.file: {tmp_path / 'x.csv'}:{wrong}"


def test_columns_are_known_by_their_names() -> None:
    Path("x.csv").write_text('"","to","owner","who","from"\r\n"1","9","data-owner-1","a, b","5"\r\n')
    assert intervals(parse(having({"file": "x.csv"}))) == {"data-owner-1": (5 * S, 9 * S)}
    Path("x.csv").write_text("owner,from,to,to\ndata-owner-1,0,5,6\n")
    assert refusal(having({"file": "x.csv"})).endswith(':1: is "owner,from,to,to" (the header owner,from,to)')


def test_a_file_that_r_has_quoted_is_read() -> None:
    Path("x.csv").write_bytes(b'\xef\xbb\xbf"owner","from","to"\n"data-owner-0","0","1000"\n')
    assert intervals(parse(having({"file": "x.csv"}))) == {"data-owner-0": (0, 1000 * S)}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    Path("x.csv").write_bytes(b"owner,from,to\ndata-owner-1,0,\xff\n")
    where = tmp_path / "x.csv"
    assert refusal(having({"file": "x.csv"})) == f"faults.0.file: {where}:2: is not UTF-8 ({LINE})"
    where.unlink()
    right = "No such file or directory (a path relative to the scenario's folder)"
    assert refusal(having({"file": "x.csv"})) == f"faults.0.file: {where}: {right}"
    assert refusal(having({"file": "a\0b"})).endswith("embedded null byte (a path relative to the scenario's folder)")
    with where.open("wb") as file:
        file.truncate((256 << 20) + 1)
    assert refusal(having({"file": "x.csv"})) == f"faults.0.file: {where} is too large (at most 256 MiB)"


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ({}, 'intervals: is missing (owner → when it is there, in seconds; who is not named always is; or file = "…")'),
        ({"file": 3}, "file: is 3 (a path)"),
        ({"file": "x.csv", "intervals": {}}, "file: cannot stand beside intervals (one of the two)"),
        ({"flie": "x.csv", "intervals": {}}, 'flie: is not a known key (did you mean "file"?)'),
        ({"intervals": 3}, "intervals: is 3 (a table: each owner's intervals, or a file)"),
        ({"intervals": {"data-owner-1": 3}}, f"intervals.data-owner-1: is 3 ({TEXT})"),
        ({"intervals": {"data-owner-1": (1, 2)}}, f"intervals.data-owner-1: is a list ({TEXT})"),
        ({"intervals": {"data-owner-1": "3"}}, f'intervals.data-owner-1: is "3" ({TEXT})'),
        (
            {"intervals": {"data-owner-1": "3-2"}},
            "intervals.data-owner-1: the owner is there from 3 s to 2 s (from before to)",
        ),
        (
            {"intervals": {"data-owner-7": "3-4"}},
            f'intervals.data-owner-7: "data-owner-7" is no data owner of this scenario ({OWNERS})',
        ),
    ],
)
def test_a_table_that_is_not_right(table: dict[str, Any], wrong: str) -> None:
    assert refusal(having(table)) == f"faults.0.{wrong}"


def test_one_table_speaks_for_an_owner(tmp_path: Path) -> None:
    Path("x.csv").write_text(TRACE)
    taken = '"data-owner-0" is named by faults.0 too (each owner by one)'
    assert refusal(having({"intervals": {"data-owner-0": "3-4"}}, {"file": "x.csv"})) == (
        f"faults.1.file: {tmp_path / 'x.csv'}:5: {taken}"
    )


def test_an_override_that_takes_owners_away_is_named(tmp_path: Path) -> None:
    Path("x.csv").write_text(TRACE)
    Path("a.toml").write_text('name = "x"\n[[faults]]\nkind = "availability"\nfile = "x.csv"\n')
    with pytest.raises(ScenarioError) as caught:
        load("a.toml", ["owners.count=2"])
    assert caught.value.lines == (
        f"--set owners.count=2: faults.0.file: {tmp_path / 'x.csv'}:4: "
        '"data-owner-2" is no data owner of this scenario (data-owner-0, data-owner-1)',
    )


@given(time_ns=st.integers(0, 2**63 - 1))
def test_times_are_written_as_they_are_read(time_ns: int) -> None:
    assert seconds(written(time_ns)) == time_ns


def test_times_are_read_to_the_nearest_nanosecond() -> None:
    assert [seconds(text) for text in ("0.0000000004", "0.0000000005", "102.05799999999999")] == [0, 1, 102_058_000_000]


@settings(max_examples=60)
@given(
    edges=st.dictionaries(
        st.integers(0, 2), st.lists(st.integers(0, 10**15), min_size=2, max_size=12, unique=True).map(sorted)
    )
)
def test_whatever_a_file_says_is_what_the_scenario_holds(
    tmp_path_factory: pytest.TempPathFactory, edges: dict[int, list[int]]
) -> None:
    wanted = {f"data-owner-{owner}": tuple(each[: len(each) // 2 * 2]) for owner, each in edges.items()}
    if not wanted:
        return
    path = tmp_path_factory.getbasetemp() / "any.csv"
    rows = [
        f"{owner},{written(start)},{written(end)}"
        for owner, each in wanted.items()
        for start, end in zip(each[::2], each[1::2], strict=True)
    ]
    path.write_text("\n".join(["owner,from,to", *rows]))
    scenario = parse(having({"file": str(path)}))
    assert intervals(scenario) == wanted
    assert parse(scenario.normalised()) == scenario


def test_a_large_file_takes_seconds() -> None:
    """10,000 owners with 50 intervals each, at a tenth of that here."""
    rows = (
        f"data-owner-{owner},{100 * i + owner / 1000:.3f},{100 * i + 50}" for owner in range(1000) for i in range(50)
    )
    Path("x.csv").write_text(HEADER + "\n".join(rows))
    began = time.process_time()
    scenario = parse(having({"file": "x.csv"}, owners={"count": 1000}))
    assert time.process_time() - began < 3
    assert sum(map(len, intervals(scenario).values())) == 100_000
