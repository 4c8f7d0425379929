"""The trace as compressed columns: what the page's timeline reads.

A column is a list with one value for each record; texts are numbers into lists of names, times are differences to the
record before. The whole is JSON, deflated (RFC 1950), in base64.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Sequence

from asyncagg.runs.trace import Record

_TEXTS: dict[str, Callable[[Record], str]] = {
    "phase": lambda record: record.phase,
    "event": lambda record: record.event,
    "from": lambda record: record.sender,
    "to": lambda record: record.receiver,
    "kind": lambda record: record.kind,
    "class": lambda record: record.exposure,
    "detail": lambda record: record.detail,
}


def columns(records: Sequence[Record]) -> dict[str, object]:
    """Names, and a column for every field; -1 stands for a time that there is not."""
    ordered = sorted(records, key=lambda record: record.t)
    names: dict[str, list[str]] = {}
    made: dict[str, object] = {}
    for field, of in _TEXTS.items():
        numbers: dict[str, int] = {}
        made[field] = [numbers.setdefault(of(record), len(numbers)) for record in ordered]
        names[field] = list(numbers)
    return {
        "names": names,
        **made,
        "t": list(_differences(record.t for record in ordered)),
        "took": [_took(record) for record in ordered],
        "round": [record.round for record in ordered],
        "attempt": [record.attempt for record in ordered],
        "bytes": [record.bytes for record in ordered],
    }


def packed(value: object) -> str:
    """As base64 of deflated JSON."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _took(record: Record) -> int:
    end = record.arrived if record.event == "message" else record.until
    return -1 if end is None else end - record.t


def _differences(times: Iterable[int]) -> Iterable[int]:
    before = 0
    for t in times:
        yield t - before
        before = t
