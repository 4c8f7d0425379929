"""Reads the keys of a scenario's `[workload]` one by one, with their types and bounds checked."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeGuard, TypeVar

from asyncagg.learning.errors import WorkloadError

T = TypeVar("T")


class Options:
    """What `[workload]` holds besides `kind`. Each key is taken once; `finish` refuses what nobody took.

    A key that is absent or `None` takes its default. Every error names its key.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = {key: value for key, value in given.items() if value is not None}
        self._known: list[str] = []

    def integer(self, key: str, default: int) -> int:
        """A positive integer."""
        value = self._take(key, default)
        if not _is_positive_integer(value):
            raise _wrong(key, value, "a positive integer")
        return value

    def optional_integer(self, key: str) -> int | None:
        """A positive integer, or `None` when it is absent."""
        value = self._take(key, None)
        if value is not None and not _is_positive_integer(value):
            raise _wrong(key, value, "a positive integer")
        return value

    def number(self, key: str, default: float, *, least: float, below: float) -> float:
        """A number in [`least`, `below`)."""
        value = self._take(key, default)
        if not _is_number(value) or not least <= value < below:
            raise _wrong(key, value, f"a number of at least {least:g} and below {below:g}")
        return float(value)

    def positive_number(self, key: str, default: float) -> float:
        """A finite number above 0."""
        value = self._take(key, default)
        if not _is_positive_number(value):
            raise _wrong(key, value, "a number above 0")
        return float(value)

    def text(self, key: str, right: str) -> str:
        """A text that is not empty; required. `right` describes it in an error."""
        value = self._take(key, None)
        if value is None:
            raise WorkloadError(f"is missing (it must be {right})", f"workload.{key}")
        if not isinstance(value, str) or not value:
            raise _wrong(key, value, right)
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of `choices`, of which the first is the default."""
        value = self._take(key, choices[0])
        if not isinstance(value, str) or value not in choices:
            raise _wrong(key, value, " or ".join(f'"{choice}"' for choice in choices))
        return value

    def integers(self, key: str, default: Sequence[int]) -> tuple[int, ...]:
        """A list of positive integers, at least one."""
        value = self._take(key, default)
        integers = _list_of(_is_positive_integer, value)
        if not integers:
            raise _wrong(key, value, f"a list of positive integers, such as {list(default)}")
        return integers

    def shares(self, key: str, count: int) -> tuple[float, ...]:
        """`count` positive numbers, one an owner; equal ones when the key is absent."""
        value = self._take(key, (1.0,) * count)
        shares = _list_of(_is_positive_number, value)
        if shares is None:
            raise _wrong(key, value, "a list of numbers above 0, one for each owner")
        if len(shares) != count:
            raise WorkloadError(f"{len(shares)} shares for {count} owners (one for each)", f"workload.{key}")
        return tuple(map(float, shares))

    def table(self, key: str) -> dict[str, object]:
        """A table of whatever keys the user likes; empty when absent."""
        value = self._take(key, {})
        if not isinstance(value, Mapping):
            raise _wrong(key, value, f"a table, [workload.{key}]")
        return {str(name): item for name, item in value.items()}

    def finish(self, kind: str) -> None:
        """Refuses a key that workload `kind` does not have."""
        for key in self._given:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"its keys: {', '.join(sorted(self._known))}"
                raise WorkloadError(f"no such key for workload {kind} ({hint})", f"workload.{key}")

    def _take(self, key: str, default: object) -> object:
        self._known.append(key)
        return self._given.get(key, default)


def _is_positive_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> TypeGuard[int | float]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # neither NaN, nor an infinity, nor an integer beyond a float


def _is_positive_number(value: object) -> TypeGuard[int | float]:
    return _is_number(value) and value > 0


def _list_of(is_one: Callable[[object], TypeGuard[T]], value: object) -> tuple[T, ...] | None:
    """The items of a list that all pass `is_one`; `None` of anything else."""
    if not isinstance(value, list | tuple):
        return None
    items = tuple(item for item in value if is_one(item))
    return items if len(items) == len(value) else None


def _wrong(key: str, value: object, right: str) -> WorkloadError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return WorkloadError(f"{shown} is not allowed (it must be {right})", f"workload.{key}")
