"""Known-answer vectors: JSON files with a source and a list of vectors, each with `success` true or false."""

import json
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parents[1] / "known_answers"


def vectors(name: str) -> list[Any]:
    """The vectors of one file as pytest parameters, named by their comment."""
    entries = json.loads((_FOLDER / f"{name}.json").read_text())["vectors"]
    return [pytest.param(entry, id=entry.get("comment", str(index))) for index, entry in enumerate(entries)]
