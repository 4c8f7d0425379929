"""Contents of a run directory, as the page tells them: of schema 1 or 2, of a run that went well or did not.

Nothing is validated but the form of what is shown: the scenario is that of the result, and it is never loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncagg.runs.directory import RESULT, DirectoryError
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import FILE, Record
from asyncagg.runs.trace_reading import TraceError, read_trace

_RIGHT = "the directory of a run"


@dataclass(frozen=True, slots=True)
class Story:
    """One run."""

    folder: str
    """Its directory, as it was named."""
    result: Mapping[str, Any]
    rounds: list[RoundResult]
    records: list[Record]
    """Of the trace; none where it was not kept."""

    @classmethod
    def read(cls, path: Path) -> Story:
        """DirectoryError where the directory holds no run that can be read."""
        file = path / RESULT
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
            rounds = rounds_of(result)
            records = read_trace(path / FILE) if (path / FILE).exists() else []
        except OSError as error:
            raise DirectoryError(f"{error.filename}: {error.strerror} ({_RIGHT})") from None
        except TraceError as error:
            raise DirectoryError(str(error)) from None
        except (ValueError, RecursionError) as error:
            raise DirectoryError(f"{file}: is no result of a run: {error} ({_RIGHT})") from None
        return cls(str(path), result, rounds, records)

    def said(self, key: str) -> str:
        """A field of the result as text; empty where it has none."""
        value = self.result.get(key)
        return "" if value is None else str(value)

    def scenario(self, *keys: str) -> Any:
        """A value of the scenario; None where the result does not hold it."""
        value: Any = self.result.get("scenario")
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def rounds_of(result: Any) -> list[RoundResult]:
    """The rounds of a result of any schema; ValueError for what is none."""
    if not isinstance(result, dict) or not isinstance(result.get("rounds"), list):
        raise ValueError("it has no list of rounds")
    blank = RoundResult(0, "ok").to_json()
    rounds = []
    for each in result["rounds"]:
        if not isinstance(each, dict):
            raise ValueError("a round is no object")
        rounds.append(RoundResult.from_json({key: each.get(key, value) for key, value in blank.items()}))
    return rounds
