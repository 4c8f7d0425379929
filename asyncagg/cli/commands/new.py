"""`asyncagg new`: a folder to start from, with a scenario, an owner, a model, a test and a README."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

import typer

from asyncagg.cli.output.plain import BAD_USAGE, answer, complain
from asyncagg.scenario.errors import quoted

TEMPLATE = Path(__file__).resolve().parents[1] / "template"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_FILES = {
    "scenario.toml": "{name}.toml",
    "owner.txt": "owner.py",
    "model.txt": "model.py",
    "test.txt": "test_{module}.py",
    "README.md": "README.md",
}
"""File of the template → what it becomes, in the order in which they are read first."""


def new_folder(name: str) -> None:
    """Make it, in the present folder. typer.Exit(2) for a name that is none, or is taken."""
    if not _NAME.fullmatch(name):
        raise _refusal(f"asyncagg new: NAME: is {quoted(name)} (a letter, then letters, digits, - and _)")
    words = {"name": name, "module": name.replace("-", "_")}
    try:
        Path(name).mkdir()
        for source, target in _FILES.items():
            text = Template((TEMPLATE / source).read_text(encoding="utf-8")).substitute(words)
            Path(name, target.format_map(words)).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise _refusal(f"{name}: is there already (a new folder)") from None
    except OSError as error:
        raise _refusal(f"{error.filename or name}: {error.strerror} (a folder that can be written)") from None
    answer(_lines(words))


def _lines(words: dict[str, str]) -> list[str]:
    name, module = words["name"], words["module"]
    return [
        f"{name}/{name}.toml: the scenario; README.md says what is where",
        f"next: cd {name} && asyncagg run {name}.toml",
        f"then: python -m unittest   (test_{module}.py), and your own rows into owner.py",
    ]


def _refusal(line: str) -> typer.Exit:
    complain([line])
    return typer.Exit(BAD_USAGE)
