"""Means of finished rounds while a run goes on: one file each, `means/round-<n>.npy` in the run directory.

Once it is over they are in one file, `means.npz`.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from asyncagg.runs.atomic import replace, sync_folder
from asyncagg.runs.checkpoint import CheckpointError

FOLDER = "means"
FILE = "means.npz"

_NAME = re.compile(r"round-(0|[1-9][0-9]{0,9})\.npy")


def keep(directory: Path, round_index: int, mean: NDArray[np.float64], durable: bool = True) -> None:
    """Write down the decoded mean (d,) of a round, in one step; CheckpointError where that fails."""
    folder = directory / FOLDER
    try:
        if not folder.is_dir():
            folder.mkdir()
            if durable:
                sync_folder(directory)
        replace(folder / f"round-{round_index}.npy", lambda file: np.save(file, mean, allow_pickle=False), durable)
    except OSError as error:
        raise CheckpointError(f"{folder}: round {round_index}: {error.strerror} (room to write)") from None


def kept(directory: Path) -> dict[int, Path]:
    """Round → file of its mean, by number; OSError."""
    folder = directory / FOLDER
    found = [(_NAME.fullmatch(path.name), path) for path in (folder.iterdir() if folder.is_dir() else ())]
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def forget(directory: Path, first: int = 0) -> None:
    """Remove the means of this round and later ones: what a run left that was interrupted before its checkpoint."""
    for index, path in kept(directory).items():
        if index >= first:
            path.unlink()
    with contextlib.suppress(OSError):  # it holds earlier means, or was never made
        (directory / FOLDER).rmdir()


def gather(directory: Path, target: BinaryIO) -> None:
    """All of them as an `.npz` file: key `round-<n>`. Copied, so that they need not all fit into memory."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in kept(directory).values():
            with path.open("rb") as source, archive.open(path.name, "w", force_zip64=True) as entry:
                shutil.copyfileobj(source, entry)


def spread(directory: Path) -> None:
    """Undo `gather`: each mean of a run that was over is a file again, unless it is one already. OSError.

    CheckpointError where they cannot be read.
    """
    gathered, folder = directory / FILE, directory / FOLDER
    if not gathered.exists():
        return
    folder.mkdir(exist_ok=True)
    try:
        with zipfile.ZipFile(gathered) as archive:
            for name in archive.namelist():
                if _NAME.fullmatch(name) and not (folder / name).exists():
                    replace(folder / name, partial(_copy, archive, name))
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{gathered}: {error} (the means that asyncagg wrote)") from None


def _copy(archive: zipfile.ZipFile, name: str, target: BinaryIO) -> None:
    with archive.open(name) as source:
        shutil.copyfileobj(source, target)


class StoredMeans(Mapping[int, NDArray[np.float64]]):
    """Round → the decoded mean (d,) of a run that is over, read from its directory when it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def __getitem__(self, round_index: int) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self._archive[f"round-{round_index}"]
        return mean

    def __iter__(self) -> Iterator[int]:
        return (int(key.removeprefix("round-")) for key in self._archive.files)

    def __len__(self) -> int:
        return len(self._archive.files)

    @cached_property
    def _archive(self) -> NpzFile:
        """It is closed with this object."""
        opened: NpzFile = np.load(self._path, allow_pickle=False)
        return opened
