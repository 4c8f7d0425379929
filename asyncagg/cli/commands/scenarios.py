"""`asyncagg scenarios`: what comes along, and a copy of one to change."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import typer

from asyncagg.cli.output.plain import BAD_USAGE, answer, complain
from asyncagg.scenario import shipped
from asyncagg.scenario.errors import quoted


def list_scenarios(as_json: bool = False) -> None:
    """Name and description of each, a line each."""
    names = shipped.names()
    if as_json:
        answer(json.dumps({name: shipped.description(name) for name in names}, indent=1).splitlines())
        return
    width = max(map(len, names))
    answer(f"{name:<{width}}  {shipped.description(name)}" for name in names)


def show_scenario(name: str, out: Path | None, as_json: bool = False) -> None:
    """Print one, or copy it to a new file and what it names beside it. typer.Exit(2) where that cannot be."""
    path = shipped.path_of(name)
    if path is None:
        right = shipped.meant(name) or "asyncagg scenarios lists them"
        raise _refusal(f"asyncagg scenarios: NAME: {quoted(name)} is no scenario that comes along ({right})")
    if out is None:
        text = path.read_text(encoding="utf-8")
        answer((json.dumps(tomllib.loads(text), indent=1) if as_json else text).splitlines())
        return
    targets = {path: out} | {each: out.parent / each.name for each in shipped.beside(name)}
    if (there := next((each for each in targets.values() if each.exists()), None)) is not None:
        raise _refusal(f"{there}: is there already (a new file)")
    try:
        for source, target in targets.items():
            shutil.copyfile(source, target)
    except OSError as error:
        raise _refusal(f"{error.filename2 or out}: {error.strerror} (a file that can be written)") from None
    answer([f"{target}: written" for target in targets.values()])


def _refusal(line: str) -> typer.Exit:
    complain([line])
    return typer.Exit(BAD_USAGE)
