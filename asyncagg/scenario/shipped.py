"""Scenarios that are included: found by name wherever asyncagg is installed."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from asyncagg.scenario.errors import suggestion

FOLDER = Path(__file__).resolve().parents[1] / "shipped"


def names() -> list[str]:
    """Theirs, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def path_of(name: str) -> Path | None:
    """The file of the scenario that has this name; None where none has."""
    return FOLDER / f"{name}.toml" if name in names() else None


def meant(path: str) -> str | None:
    """`did you mean "digits"?` for what is neither a file nor the name of one of them, where it is like one."""
    return suggestion(path, names())


def description(name: str) -> str:
    """Purpose of a shipped scenario, in a line."""
    values = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return str(values["description"])


def beside(name: str) -> Sequence[Path]:
    """The data files that it names, which stand in its folder."""
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    return [path for path in sorted(FOLDER.iterdir()) if path.suffix != ".toml" and f'"{path.name}"' in text]
