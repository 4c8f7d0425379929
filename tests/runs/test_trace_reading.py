"""Reading a trace back: whole, of both schemas, and in one clear line where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncagg.runs.trace import Record
from asyncagg.runs.trace_reading import TraceError, read_line, read_trace

RECORDS = [
    Record(5, 2, 1, "upload", "message", "data-owner-1", "compute-node-0", "joined", 9, "public", "", 8),
    Record(5, 2, 1, "upload", "message", "data-owner-1", "compute-node-0", "joined", 9, "public"),
    Record(6, 2, 1, "upload", "span", "data-owner-1", "", "masks", 0, "", until=9),
    Record(7, 2, 1, "upload", "drop", "compute-node-0", "data-owner-1", "", 0, "", 'a\n\u2028"}{'),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text("".join(record.line() + "\n" for record in RECORDS), encoding="utf-8")
    assert read_trace(path) == RECORDS
    assert [Record(*record.values()) for record in RECORDS] == RECORDS


def test_schema_1_knows_no_arrivals() -> None:
    line = (
        '{"t":5,"round":0,"attempt":1,"phase":"upload","event":"message","from":"a","to":"b","kind":"joined"'
        ',"bytes":3,"class":"public"}'
    )
    assert read_line(line) == Record(5, 0, 1, "upload", "message", "a", "b", "joined", 3, "public")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('"t":5', '"t":-5'), "t is no count"),
        (('"t":5', '"t":true'), "t is no count"),
        (('"arrived":8', '"arrived":"8"'), "arrived is no count"),
        (('"kind":"joined"', '"kind":3'), "kind is no text"),
        (('"event":"message"', '"event":"other"'), "event or detail is none that there is"),
        (("}", ""), "Expecting"),
    ],
)
def test_what_is_no_record_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(f"{RECORDS[1].line()}\n{RECORDS[0].line().replace(*change)}\n")
    with pytest.raises(TraceError, match=rf"trace.jsonl:2: {says}"):
        read_trace(path)


@pytest.mark.parametrize("line", ["[" * 100_000, "[]", "3", ""])
def test_nothing_else_is_a_record(line: str) -> None:
    with pytest.raises(ValueError, match=r"nested|no object|Expecting"):
        read_line(line)
