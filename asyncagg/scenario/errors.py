"""Mistakes in a scenario: where one is, what is wrong, what would be right; the error that carries them."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""A key of a scenario: table and key names, and indices of lists."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong at `path`; `others` are the further keys that make it so."""

    path: KeyPath
    text: str
    others: tuple[KeyPath, ...] = ()


class ScenarioError(Exception):
    """A scenario cannot be used.

    `lines` holds a mistake each, `FILE:LINE: key.path: what is wrong (what would be right)`.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)

    def __reduce__(self) -> tuple[type["ScenarioError"], tuple[tuple[str, ...]]]:
        return ScenarioError, (self.lines,)


class WrongWithin(ValueError):
    """A value is wrong somewhere within, at `path` from the value on."""

    def __init__(self, path: KeyPath, text: str) -> None:
        super().__init__(text)
        self.path = path


def dotted(path: KeyPath) -> str:
    """The path as it is written in a file, `faults.0.players`; unusual names are quoted."""
    return ".".join(str(step) if _BARE.fullmatch(str(step)) else quoted(str(step)) for step in path)


def placed(source: object, path: KeyPath, text: str) -> str:
    """The line that a user reads."""
    return f"{source}: {dotted(path)}: {text}" if path else f"{source}: {text}"


def quoted(text: str) -> str:
    """The text in double quotes on one line, whatever it contains."""
    escaped = json_string(text).encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in escaped)


def json_string(text: str) -> str:
    """The text as a JSON string, letters beyond ASCII as they are."""
    return json.dumps(text, ensure_ascii=False)


def show(value: object) -> str:
    """A value as a message names it: short, on one line, in the file's own spelling."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 1] + "…")
        case int() if value.bit_length() > 128:
            return f"a number of {value.bit_length()} bits"
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case None:
            return "null"
        case _:
            return f"a {type(value).__name__}"


def one_of(choices: Iterable[str]) -> str:
    """`one of "a", "b"`; just `"a"` where there is no choice."""
    names = [quoted(choice) for choice in choices]
    return names[0] if len(names) == 1 else "one of " + ", ".join(names)


def closest(word: object, choices: Sequence[str]) -> str | None:
    """The choice that the word is most like, where one is like it at all."""
    if not isinstance(word, str):
        return None
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1)
    return folded[near[0]] if near else None


def suggestion(word: object, choices: Sequence[str]) -> str | None:
    """`did you mean "pairwise"?` where a choice is close enough to the word."""
    near = closest(word, choices)
    return None if near is None else f"did you mean {quoted(near)}?"
