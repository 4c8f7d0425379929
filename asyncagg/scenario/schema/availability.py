"""The fault `availability`: when data owners are there, as a file says it, and as a scenario holds it.

A file is one of comma-separated values (`csv_rows`). Its first line is `owner,from,to`; each other line names an owner
and two times in seconds since the start of the run, `data-owner-3,0,7200`: the owner is there from the first on, and no
longer at the second. The columns may stand in any order, and others beside them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from asyncagg.net.durations import SECOND_NS
from asyncagg.scenario.errors import KeyPath, WrongWithin, show
from asyncagg.scenario.schema.fields import Table
from asyncagg.scenario.values.csv_rows import rows, text_of

Edges = tuple[int, ...]
"""Nanoseconds since the start of the run, ascending: an owner comes at the first, goes at the second, and so on."""

HEADER = "owner,from,to"

_FILE_MIB = 256
_LARGEST_NS = 2**63 - 1
_SECONDS = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,30}))?", re.ASCII)
_DECIMALS = 9
_RIGHT_LINE = "an owner, and from and to in seconds: data-owner-3,0,7200"
_RIGHT_TIME = "seconds since the start of the run, such as 7200 or 0.5"
_RIGHT_TEXT = 'from and to in seconds, such as "0-7200, 9000-10800.5"'


@dataclass(frozen=True, slots=True)
class Source:
    """The file that intervals came from, and the line that first names each owner; any two are equal.

    So are two scenarios that say the same, wherever they were read.
    """

    path: str = field(default="", compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class AvailabilityTrace:
    """Content of a trace file: owner → when it is there; and where the file says so."""

    intervals: dict[str, Edges]
    source: Source


def seconds(text: str) -> int:
    """The nearest number of nanoseconds. ValueError for what is no number of seconds, as a file holds it."""
    found = _SECONDS.fullmatch(text)
    if found is None:
        raise ValueError(f"is {show(text)} ({_RIGHT_TIME})")
    whole, decimals = found.groups(default="")
    tenths = int(decimals[: _DECIMALS + 1].ljust(_DECIMALS + 1, "0"))
    time_ns = int(whole) * SECOND_NS + (tenths + 5) // 10
    if time_ns > _LARGEST_NS:
        raise ValueError(f"is {text}, too late (at most {_LARGEST_NS // SECOND_NS})")
    return time_ns


def written(time_ns: int) -> str:
    """The inverse of `seconds`: the shortest text."""
    whole, rest = divmod(time_ns, SECOND_NS)
    return f"{whole}.{rest:0{_DECIMALS}}".rstrip("0") if rest else str(whole)


def read(path: object) -> AvailabilityTrace:
    """Read a trace file. WrongWithin at `file` for the first mistake, with its line."""
    text = text_of(path, _FILE_MIB, _RIGHT_LINE)
    times: dict[str, list[int]] = {}
    first: dict[str, int] = {}
    try:
        for number, owner, start_ns, end_ns in _lines(text):
            first.setdefault(owner, number)
            _append(times.setdefault(owner, []), start_ns, end_ns, f"{number}: {show(owner)}")
        if not times:
            raise ValueError(f"{text.count(chr(10)) + 1}: no owner is named ({_RIGHT_LINE})")
    except ValueError as error:
        raise WrongWithin(("file",), f"{path}:{error}") from None
    return AvailabilityTrace({owner: tuple(edges) for owner, edges in times.items()}, Source(str(path), first))


def _lines(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Number of the line, owner, from and to of every interval. ValueError that starts with the line."""
    columns: list[int] = []
    width = 0
    for number, row in rows(text):
        if not columns:
            columns, width = _columns(number, row), len(row)
            continue
        if len(row) != width or not row[columns[0]]:
            raise ValueError(f"{number}: is {show(','.join(row))} ({_RIGHT_LINE})")
        owner, start, end = (row[column] for column in columns)
        try:
            yield number, owner, seconds(start), seconds(end)
        except ValueError as error:
            raise ValueError(f"{number}: {'to' if _SECONDS.fullmatch(start) else 'from'} {error}") from None


def _columns(number: int, header: list[str]) -> list[int]:
    """Columns of owner, from and to; what else a file holds is left out. ValueError where the header lacks one."""
    wanted = HEADER.split(",")
    if sorted(set(wanted) & set(header)) != sorted(wanted) or len(set(header)) < len(header):
        raise ValueError(f"{number}: is {show(','.join(header))} (the header {HEADER})")
    return [header.index(each) for each in wanted]


def _append(edges: list[int], start_ns: int, end_ns: int, where: str) -> None:
    """One more interval; one that begins where the last ends makes it longer."""
    start, end = written(start_ns), written(end_ns)
    if end_ns <= start_ns:
        raise ValueError(f"{where} is there from {start} s to {end} s (from before to)")
    if edges and start_ns < edges[-1]:
        raise ValueError(
            f"{where} is there from {start} s, and before that until {written(edges[-1])} s"
            " (an owner's intervals in order, without overlap)"
        )
    if edges and start_ns == edges[-1]:
        edges.pop()
    else:
        edges.append(start_ns)
    edges.append(end_ns)


def _intervals(value: object) -> dict[str, Edges]:
    if isinstance(value, AvailabilityTrace):
        return value.intervals
    if not isinstance(value, dict):
        raise ValueError(f"is {show(value)} (a table: each owner's intervals, or a file)")
    found: dict[str, Edges] = {}
    for owner, said in value.items():
        try:
            found[str(owner)] = _edges(said)
        except ValueError as error:
            raise WrongWithin((str(owner),), str(error)) from None
    return found


def _edges(text: object) -> Edges:
    """Reads "0-7200, 9000-10800.5"."""
    edges: list[int] = []
    for interval in text.split(",") if isinstance(text, str) else [""]:
        start, _, end = interval.strip().partition("-")
        if not (_SECONDS.fullmatch(start) and _SECONDS.fullmatch(end)):
            raise ValueError(f"is {show(text)} ({_RIGHT_TEXT})")
        _append(edges, seconds(start), seconds(end), "the owner")
    return tuple(edges)


def _as_text(intervals: dict[str, Edges]) -> dict[str, str]:
    return {owner: _joined(edges) for owner, edges in intervals.items()}


def _joined(edges: Edges) -> str:
    return ", ".join(f"{written(start)}-{written(end)}" for start, end in zip(edges[::2], edges[1::2], strict=True))


_INTERVAL = r"\s*[0-9]{1,10}(\.[0-9]{1,30})?-[0-9]{1,10}(\.[0-9]{1,30})?\s*"
_INTERVALS = f"^{_INTERVAL}(,{_INTERVAL})*$"
_INTERVALS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"pattern": "^data-owner-(0|[1-9][0-9]*)$"},
    "additionalProperties": {"type": "string", "pattern": _INTERVALS, "examples": ["0-7200, 9000-10800.5"]},
}
_FILE = "file"
_FILE_SCHEMA = {"type": "string", "description": f"in place of intervals: a file of lines {HEADER}, times in seconds"}


def _or_file(schema: dict[str, Any]) -> None:
    """A file is one way to say it, and is gone once it is read."""
    schema["properties"][_FILE] = _FILE_SCHEMA
    schema["required"].remove("intervals")


class AvailabilityFault(Table):
    """Owners that are there at times; `file` is read when the scenario is, and the scenario then holds what it said."""

    model_config = ConfigDict(json_schema_extra=_or_file)

    kind: Literal["availability"] = Field(description="owners are there at times, and crash and restart between them")
    intervals: Annotated[
        dict[str, Edges], PlainValidator(_intervals), PlainSerializer(_as_text), WithJsonSchema(_INTERVALS_SCHEMA)
    ] = Field(description='owner → when it is there, in seconds; who is not named always is; or file = "…"')

    _source: Source = PrivateAttr(default_factory=Source)

    @model_validator(mode="wrap")
    @classmethod
    def _read_file(cls, given: Any, build: ModelWrapValidatorHandler["AvailabilityFault"]) -> "AvailabilityFault":
        if not isinstance(given, dict) or _FILE not in given:
            return build(given)
        if "intervals" in given:
            raise WrongWithin((_FILE,), "cannot stand beside intervals (one of the two)")
        trace = read(given[_FILE])
        built = build({key: value for key, value in given.items() if key != _FILE} | {"intervals": trace})
        built._source = trace.source
        return built

    def place(self, owner: str) -> tuple[KeyPath, str]:
        """Place where this owner is named: the key, and how a mistake there begins."""
        line = self._source.lines.get(owner)
        return (("intervals", owner), "") if line is None else ((_FILE,), f"{self._source.path}:{line}: ")
