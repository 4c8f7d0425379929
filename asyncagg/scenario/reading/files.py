"""Reads one file of a scenario: its values and the line of each, or a refusal that names the line."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncagg.scenario.errors import KeyPath, ScenarioError, dotted, show
from asyncagg.scenario.reading.positions import RepeatedKey, json_lines, toml_lines

_AT_LINE = re.compile(r" \(at line ([0-9]+), column [0-9]+\)$")
_AT_END = " (at end of document)"
_YAML = re.compile(r"---\s*$|%YAML|[A-Za-z_][A-Za-z0-9_-]*:(\s|$)")


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was read. Lines count from 1; folder is where its relative paths start."""

    source: str
    values: dict[str, Any]
    lines: dict[KeyPath, int]
    folder: Path


def refused(source: str, text: str, line: int | None = None) -> ScenarioError:
    """The error for something that makes the whole file useless."""
    return ScenarioError([f"{source}{'' if line is None else f':{line}'}: {text}"])


TOO_DEEP = "is nested too deeply (tables and lists within a few others)"
DEEPEST = 32


def too_deep(value: object) -> bool:
    """True if tables and lists are nested deeper than a scenario ever needs."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _within(outer)]
    return bool(level)


def _within(value: object) -> list[object]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
    return []


def read(path: str) -> File:
    """Reads TOML or, by its suffix, JSON. Raises ScenarioError."""
    text = text_of(path, "the path of a scenario")
    try:
        values, lines = _json(path, text) if path.endswith(".json") else _toml(path, text)
    except RecursionError:
        raise refused(path, TOO_DEEP) from None
    if not isinstance(values, dict):
        raise refused(path, f"holds {show(values)} (a table of keys)", 1)
    return File(path, values, lines, Path(path).parent)


def text_of(path: str, wanted: str) -> str:
    """Text of a UTF-8 file. Raises ScenarioError, which says what was wanted where there is no file."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise refused(path, f"there is no such file ({wanted})") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise refused(path, f"is not UTF-8: the byte 0x{error.object[error.start]:02x} (UTF-8 text)", line) from None
    except IsADirectoryError:
        raise refused(path, f"is a folder ({_within_folder(Path(path)) or wanted})") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refused(path, f"cannot be read: {reason} (a file)") from None


def _within_folder(folder: Path) -> str | None:
    """Suggestion for a folder: a file in it that could be a scenario, first of all that of a run directory."""
    found = sorted(folder.glob("*.toml"), key=lambda each: (each.name != "scenario.toml", each.name))
    return f"a file in it, such as {found[0]}" if found else None


def _another_form(path: str, text: str) -> str | None:
    """Form of a text that is no TOML, in words, where that can be told."""
    if text.lstrip().startswith("{"):
        return "is not TOML: it seems to be JSON (a file whose name ends in .json)"
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    if path.endswith((".yaml", ".yml")) or _YAML.match(first):
        return "is not TOML: it seems to be YAML (TOML or JSON)"
    return None


def _toml(path: str, text: str) -> tuple[object, dict[KeyPath, int]]:
    try:
        return tomllib.loads(text), toml_lines(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        reason, found = str(error), _AT_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1 if reason.endswith(_AT_END) else None
        if (form := _another_form(path, text)) is not None:
            raise refused(path, form, line) from None
        reason = _AT_LINE.sub("", reason).removesuffix(_AT_END)
        raise refused(path, f"is not TOML: {reason} (key = value)", line) from None


def _json(path: str, text: str) -> tuple[object, dict[KeyPath, int]]:
    try:
        return json.loads(text), json_lines(text)
    except json.JSONDecodeError as error:
        raise refused(path, f"is not JSON: {error.msg}", error.lineno) from None
    except RepeatedKey as error:
        raise refused(path, f"{dotted(error.path)}: is given twice (once)", error.line) from None
    except ValueError as error:  # a number of thousands of digits
        raise refused(path, f"is not JSON: {error}") from None
