"""The checkpoint of a run: what a resumed one needs to go on, of the same size however many rounds are finished.

`checkpoint.npz` in the run directory is replaced in one step: the arrays of the parameters and of what the model keeps
beside them, numbered, and `about`, the UTF-8 bytes of a JSON object with all the rest. What grows with the rounds is in
two files beside it, to which lines are only added: `rounds.jsonl`, a finished round each, and `account.jsonl`, the
account of the model owner. They are added to before the checkpoint is replaced, which says how long they are: what a
crash left beyond that is cut off (`cut`), as it belongs to what is played again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from asyncagg.runs import lines, npz
from asyncagg.runs.atomic import replace
from asyncagg.runs.formats import other_format, stamp
from asyncagg.runs.result import RoundResult

FILE = "checkpoint.npz"
ROUNDS = "rounds.jsonl"
ACCOUNT = "account.jsonl"
LARGEST = 2**63 - 1

Arrays = Mapping[str, NDArray[Any]]

_DIGEST = re.compile("[0-9a-f]{64}")
_ABOUT = {
    "version",
    "format",
    "scenario",
    "round",
    "attempt",
    "t",
    "parameters",
    "state",
    "culprits",
    "rounds",
    "account",
}


class _OtherFormat(ValueError):
    """A checkpoint that another asyncagg can read; the text says which."""


class CheckpointError(Exception):
    """A checkpoint that cannot be written, or is none; the text says which and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A run between two rounds, or within one that has not ended."""

    scenario: bytes
    """Digest of the scenario, 32 bytes; of all but its number of rounds, where that may grow."""
    round: int
    """The next round to finish, from 0."""
    attempt: int
    """The last attempt at it that was begun; 0: none."""
    parameters: Arrays
    """Parameters that this round publishes."""
    state: Arrays
    """Arrays that the model keeps beside them (`ModelOwner.state`)."""
    rounds_bytes: int
    """Bytes of `rounds.jsonl` that count: the rounds before this one, skipped ones among them."""
    account_bytes: int
    """Bytes of `account.jsonl` that count; 0 where nothing is protected."""
    t: int
    """Of the last trace record, nanoseconds since the start of the run."""
    culprits: Mapping[str, str]
    """Owners that are not invited again in this run, and why."""

    def write(self, folder: Path, durable: bool = True) -> None:
        """Replace the run directory's checkpoint in one step; CheckpointError, and the former stays, where not."""
        path = folder / FILE
        arrays = {"about": np.frombuffer(self._about(), np.uint8)}
        for kind, named in (("parameters", self.parameters), ("state", self.state)):
            for position, (name, array) in enumerate(named.items()):
                arrays[f"{kind}-{position}"] = _plain(path, f"{kind} {name!r}", array)
        try:
            replace(path, lambda file: npz.write(file, arrays), durable)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror} (room to write; the former checkpoint is kept)") from None

    def _about(self) -> bytes:
        about = {
            **stamp(),
            "scenario": self.scenario.hex(),
            "round": self.round,
            "attempt": self.attempt,
            "t": self.t,
            "parameters": list(self.parameters),  # their names are the user's: none of them names an entry
            "state": list(self.state),
            "culprits": dict(self.culprits),
            "rounds": self.rounds_bytes,
            "account": self.account_bytes,
        }
        return json.dumps(about, allow_nan=False).encode()

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """The run directory's; CheckpointError where there is none, or another than `write` makes."""
        path = folder / FILE
        try:
            return _from_arrays(npz.read(path))
        except FileNotFoundError:
            raise CheckpointError(
                f"{path}: there is none: the run has ended, or never began (run its scenario again)"
            ) from None
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror} (a checkpoint)") from None
        except _OtherFormat as error:
            raise CheckpointError(f"{path}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: {error} (a checkpoint that asyncagg wrote)") from None

    def check_scenario(self, digest: bytes) -> None:
        """CheckpointError unless it is a checkpoint of this scenario."""
        if digest != self.scenario:
            raise CheckpointError(
                f"{FILE}: belongs to scenario {self.scenario.hex()[:12]}, and this one is {digest.hex()[:12]}"
                " (resume with the scenario the run was started with)"
            )

    def finished_rounds(self, folder: Path) -> list[RoundResult]:
        """Those before this round, in order; CheckpointError where the run directory's are others."""
        path = folder / ROUNDS
        texts = _counted(path, self.rounds_bytes)
        rounds = [_round(path, number, text) for number, text in enumerate(texts)]
        if [each.round for each in rounds] != list(range(self.round)):
            raise CheckpointError(f"{path}: its rounds are not those before round {self.round} ({_OURS})")
        return rounds

    def account(self, folder: Path) -> Iterator[str]:
        """The lines of the model owner's account that count; CheckpointError where there are not so many."""
        return _counted(folder / ACCOUNT, self.account_bytes)

    def cut(self, folder: Path) -> None:
        """Take away what came after this checkpoint. OSError."""
        for name, size in ((ROUNDS, self.rounds_bytes), (ACCOUNT, self.account_bytes)):
            lines.cut(folder / name, size)


_OURS = "the file that asyncagg wrote beside this checkpoint"


def _counted(path: Path, size: int) -> Iterator[str]:
    try:
        yield from lines.read(path, size)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror} ({_OURS})") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: {error} ({_OURS})") from None


def _round(path: Path, number: int, text: str) -> RoundResult:
    try:
        return RoundResult.from_json(json.loads(text, parse_constant=_no_number))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}:{number + 1}: {error} ({_OURS})") from None


def round_line(each: RoundResult) -> str:
    """A finished round as its line in `rounds.jsonl`, with the end of it."""
    return json.dumps(each.to_json(), allow_nan=False, separators=(",", ":")) + "\n"


def _plain(path: Path, what: str, value: object) -> NDArray[Any]:
    """Array as the file holds it: little-endian, in C order."""
    array = np.asarray(value, order="C")
    if array.dtype.kind not in npz.KINDS:
        raise CheckpointError(f"{path}: {what} is of type {array.dtype} (numbers or truth values)")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> Checkpoint:
    """ValueError that says what is wrong."""
    about = _read_about(arrays.pop("about", None))
    parameters, state = (_take(arrays, kind, about[kind]) for kind in ("parameters", "state"))
    if arrays:
        raise ValueError(f"has an entry too many, {next(iter(arrays))!r}")
    return Checkpoint(
        scenario=bytes.fromhex(about["scenario"]),
        round=about["round"],
        attempt=about["attempt"],
        parameters=parameters,
        state=state,
        rounds_bytes=about["rounds"],
        account_bytes=about["account"],
        t=about["t"],
        culprits=about["culprits"],
    )


def _read_about(array: NDArray[Any] | None) -> dict[str, Any]:
    if array is None or array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError("has no entry `about`")
    about = json.loads(array.tobytes(), parse_constant=_no_number)
    if not isinstance(about, dict):
        raise ValueError("what it says about itself is no object")
    if (other := other_format(about)) is not None:
        raise _OtherFormat(other)
    if set(about) != _ABOUT:
        raise ValueError(f"says {', '.join(sorted(about))}")
    for name in ("round", "attempt", "t", "rounds", "account"):
        if type(about[name]) is not int or not 0 <= about[name] <= LARGEST:
            raise ValueError(f"{name} is not a number from 0 to {LARGEST}")
    for name in ("parameters", "state"):
        if not _names(about[name]):
            raise ValueError(f"{name} is not a list of names")
    culprits = about["culprits"]
    if not isinstance(culprits, dict) or not all(isinstance(why, str) for why in culprits.values()):
        raise ValueError("culprits is not an object of texts by name")
    if not isinstance(about["scenario"], str) or not _DIGEST.fullmatch(about["scenario"]):
        raise ValueError("scenario is not a digest")
    return about


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value) and len(set(value)) == len(value)


def _take(arrays: dict[str, NDArray[Any]], kind: str, names: Sequence[str]) -> Arrays:
    """The arrays of this kind, by their names."""
    try:
        return {name: arrays.pop(f"{kind}-{position}") for position, name in enumerate(names)}
    except KeyError as error:
        raise ValueError(f"has no entry {error}") from None
