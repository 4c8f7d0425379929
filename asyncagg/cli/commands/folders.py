"""Folders as options take them."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def folder(text: str | Path) -> Path:
    """Folder for files: an empty text would be the current folder, and a file is no folder."""
    if not str(text):
        raise typer.BadParameter("it is empty (a folder)")
    if os.path.isfile(text):
        raise typer.BadParameter(f"{text} is a file (a folder)")
    return Path(text)
