"""Means of finished rounds while a run goes on: one file each, `means/round-<n>.npy` in the run directory."""

from __future__ import annotations

import contextlib
import re
import shutil
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from asyncagg.runs.atomic import replace, sync_folder
from asyncagg.runs.checkpoint import CheckpointError

FOLDER = "means"

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
