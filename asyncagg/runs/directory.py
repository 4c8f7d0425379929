"""The run directory: made at the start with a result that says `interrupted`, filled at the end."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.runs.result import RunResult
from asyncagg.runs.trace import Trace


class DirectoryError(Exception):
    """The run directory cannot be used; the text says which and why."""


def safe_name(name: str) -> str:
    """A name as one harmless folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "run"


class RunDirectory:
    """One folder for one run; never an existing run's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path | None, name: str, seed: int) -> RunDirectory:
        """The folder asked for, or the next free `runs/<name>-<seed>-<n>`."""
        try:
            if path is not None:
                if path.exists() and (not path.is_dir() or any(path.iterdir())):
                    raise DirectoryError(f"{path}: exists and is not empty (a new folder, nothing is overwritten)")
                path.mkdir(parents=True, exist_ok=True)
                return cls(path)
            return cls(_next_free(Path("runs"), f"{safe_name(name)}-{seed}"))
        except OSError as error:
            raise DirectoryError(f"{error.filename}: {error.strerror} (a folder that can be written)") from None

    def write_result(self, result: RunResult) -> None:
        """Replace `result.json` in one step."""
        text = json.dumps(result.to_json(), indent=1, allow_nan=False)
        temporary = self.path / "result.json.tmp"
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, self.path / "result.json")

    def ledgers(self) -> Path:
        """The folder of the data owners' privacy ledgers."""
        folder = self.path / "ledgers"
        folder.mkdir(exist_ok=True)
        return folder

    def write_scenario(self, toml: str) -> None:
        (self.path / "scenario.toml").write_text(toml, encoding="utf-8")

    def write_trace(self, trace: Trace) -> None:
        trace.write(self.path / "trace.jsonl")

    def write_means(self, means: Mapping[int, NDArray[np.float64]]) -> None:
        """`means.npz`: key `round-<n>`, the decoded mean (d,) float64."""
        _write_npz(self.path / "means.npz", {f"round-{index}": mean for index, mean in means.items()})

    def write_model(self, parameters: Mapping[str, NDArray[Any]]) -> None:
        _write_npz(self.path / "model.npz", parameters)


def _write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """As `numpy.savez` does, for any names: its own would take one called `file` for its argument."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


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
