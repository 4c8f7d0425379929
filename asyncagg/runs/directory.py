"""The run directory: made at the start with a result that says `interrupted`, filled at the end.

Its checkpoint and the means of finished rounds are written while the run goes on. Once it went well the means are in
one file, and the checkpoint stays where rounds may be added.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from asyncagg.runs import checkpoint, npz
from asyncagg.runs import means as kept_means
from asyncagg.runs.atomic import replace
from asyncagg.runs.checkpoint import Checkpoint
from asyncagg.runs.formats import other_format
from asyncagg.runs.result import RunResult
from asyncagg.runs.trace import Trace

RESULT = "result.json"


class DirectoryError(Exception):
    """The run directory cannot be used; the text says which and why."""


def safe_name(name: str) -> str:
    """A name as one harmless folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "run"


class RunDirectory:
    """One folder for one run: a new one, or that of a run which goes on; never a finished run's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._let_go: Callable[[], object] = lambda: None

    @classmethod
    def create(cls, path: Path | None, name: str, seed: int) -> RunDirectory:
        """The folder asked for, or the next free `runs/<name>-<seed>-<n>`."""
        with _said(path):
            if path is None:
                return cls(_next_free(Path("runs"), f"{safe_name(name)}-{seed}"))._hold()
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise DirectoryError(f"{path}: exists and is not empty (a new folder, nothing is overwritten)")
            path.mkdir(parents=True, exist_ok=True)
            return cls(path)._hold()

    @classmethod
    def reopen(cls, path: Path, scenario: bytes) -> tuple[RunDirectory, Checkpoint]:
        """The directory of an interrupted run of the scenario with this digest, and where that run goes on.

        Nothing in it is touched before `cut_back`. CheckpointError without a sound checkpoint of that scenario,
        DirectoryError while another process goes on with the run.
        """
        with _said(path, "the directory of a run that was interrupted"):
            directory = cls(path)._hold()
            stored = Checkpoint.read(path)
            stored.check_scenario(scenario)
        return directory, stored

    def cut_back(self, stored: Checkpoint) -> None:
        """Remove what came after this checkpoint, and is played again: rounds, their means, half-written files.

        The means before it are files of their own again.
        """
        with _said(self.path):
            stored.cut(self.path)
            kept_means.spread(self.path)
            kept_means.forget(self.path, stored.round)
            for temporary in self.path.rglob("*.tmp"):
                temporary.unlink()

    @staticmethod
    def check_format(path: Path) -> None:
        """DirectoryError for the directory of a run that another asyncagg made, before anything of it is believed.

        A directory whose result cannot be read is let through: its checkpoint says its format too.
        """
        try:
            result = json.loads((path / RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return
        if isinstance(result, dict) and (other := other_format(result)) is not None:
            raise DirectoryError(f"{path / RESULT}: {other}")

    def _hold(self) -> RunDirectory:
        """Until it is let go, or its process ends, nobody else can resume this run: two would share labels."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self._let_go = weakref.finalize(self, os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryError(f"{self.path}: this run is still going on (one that has stopped)") from None
        except OSError:
            pass  # a file system without locks
        return self

    def release(self) -> None:
        """The run has stopped: another may go on with it."""
        self._let_go()

    def write_result(self, result: RunResult) -> None:
        """Replace `result.json` in one step."""
        text = json.dumps(result.to_json(), indent=1, allow_nan=False)
        self._replace(RESULT, lambda file: file.write(f"{text}\n".encode()))

    def write_scenario(self, toml: str) -> None:
        self._replace("scenario.toml", lambda file: file.write(toml.encode()))

    def write_page(self, name: str, page: str) -> None:
        """A page about the run, of what the other files say."""
        self._replace(name, lambda file: file.write(page.encode()))

    def write_trace(self, trace: Trace) -> None:
        path = self.path / "trace.jsonl"
        with _said(path):
            trace.write(path)

    def write_means(self, means: Mapping[int, NDArray[np.float64]]) -> None:
        """`means.npz`: key `round-<n>`, the decoded mean (d,) float64."""
        by_key = {f"round-{index}": mean for index, mean in means.items()}
        self._replace("means.npz", lambda file: npz.write(file, by_key))

    def gather_means(self) -> None:
        """`means.npz` from the means that were kept round by round."""
        self._replace("means.npz", lambda file: kept_means.gather(self.path, file))

    def write_model(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        self._replace("model.npz", lambda file: npz.write(file, parameters))

    def tidy(self, *, may_grow: bool) -> None:
        """Take away what nobody needs any more once the run went well and `gather_means` has all means.

        `may_grow`: rounds may be added to it, which needs its checkpoint.
        """
        with _said(self.path):
            for name in () if may_grow else (checkpoint.FILE, checkpoint.ROUNDS):
                (self.path / name).unlink(missing_ok=True)
            kept_means.forget(self.path)

    def _replace(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        path = self.path / name
        with _said(path):
            replace(path, write)


@contextlib.contextmanager
def _said(path: Path | None, right: str = "a folder that can be written, with room") -> Iterator[None]:
    """Around work on files: what the system refuses, as one clear line."""
    try:
        yield
    except OSError as error:
        where = path if error.filename is None else error.filename
        raise DirectoryError(f"{where}: {error.strerror} ({right})") from None


def _next_free(parent: Path, stem: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        try:
            (parent / f"{stem}-{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return parent / f"{stem}-{number}"
