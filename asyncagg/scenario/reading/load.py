"""Loading of a Scenario from a file or a mapping: bases first, then the file, overrides last."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncagg.scenario import shipped
from asyncagg.scenario.errors import placed, quoted, show
from asyncagg.scenario.reading.files import DEEPEST, TOO_DEEP, File, read, refused, too_deep
from asyncagg.scenario.reading.layers import Document, OverrideRefused
from asyncagg.scenario.reading.validate import validate
from asyncagg.scenario.schema.scenario import Scenario


def load(path: str | os.PathLike[str], overrides: Sequence[str] = (), **changes: object) -> Scenario:
    """Reads a scenario, TOML or, by its suffix, JSON, and whatever it extends; or one that comes along, by its name.

    `overrides` are texts `key.path=value` as `--set` takes them; `changes` set keys after them, where None
    changes nothing. Raises ScenarioError with a line for each mistake there is.
    """
    document = Document()
    _lay(document, read(_found(os.fspath(path))), ())
    refusals = [_override(document, text) for text in overrides]
    refusals += [_put(document, key, value, f"{key}={value}") for key, value in changes.items() if value is not None]
    return validate(document, [line for line in refusals if line is not None])


def _found(path: str) -> str:
    """The path, or that of the scenario that comes along and has this name, where nothing is at the path."""
    if os.path.lexists(path):
        return path
    named = shipped.path_of(path)
    if named is not None:
        return str(named)
    is_like_a_name = path.replace("-", "").isalnum()
    meant = shipped.meant(path) or ("`asyncagg scenarios` lists them" if is_like_a_name else None)
    if meant is not None:
        raise refused(path, f"there is no such file, and no such scenario comes along ({meant})")
    return path


def parse(values: Mapping[str, Any], source: str = "scenario", base: str | os.PathLike[str] = ".") -> Scenario:
    """A scenario out of a mapping, as a file would hold it; relative paths start at `base`.

    Raises ScenarioError; its lines name `source`.
    """
    document = Document()
    _lay(document, File(source, dict(values), {}, Path(base)), ())
    return validate(document, [])


def _lay(document: Document, file: File, above: tuple[str, ...]) -> None:
    """Lays the file's base and over it the file itself; `above` are the files that lead to it."""
    if "extends" in file.values:
        chain = (*above, file.source)
        _lay(document, read(_base(file, chain)), chain)
    if too_deep(file.values):
        raise refused(file.source, TOO_DEEP)
    values = {key: value for key, value in file.values.items() if key != "extends"}
    document.lay(values, file.lines, file.source, file.folder)


def _base(file: File, chain: tuple[str, ...]) -> str:
    """The path of the scenario that the file extends."""
    said, line = file.values["extends"], file.lines.get(("extends",))
    if not isinstance(said, str) or not said:
        raise refused(file.source, f"extends: is {show(said)} (the path of another scenario)", line)
    path = os.path.normpath(file.folder / said)
    if any(os.path.realpath(path) == os.path.realpath(other) for other in chain):
        loop = " -> ".join((*chain, path))
        raise refused(file.source, f"extends: comes back to where it started, {loop} (a chain that ends)", line)
    if not os.path.isfile(path):
        raise refused(file.source, f"extends: there is no file {path} (a path relative to this file)", line)
    return path


def _override(document: Document, text: str) -> str | None:
    """Sets what `key.path=value` says; the line of the mistake if it cannot."""
    source = f"--set {text if text.isprintable() else quoted(text)}"
    key, equals, value = text.partition("=")
    if not equals:
        return f"{source}: there is no value (key.path=value)"
    return _put(document, key.strip(), _value(value), source)


def _value(text: str) -> object:
    """TOML if it is, else the text itself."""
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return values["value"] if len(values) == 1 else text


def _put(document: Document, key: str, value: object, source: str) -> str | None:
    if key.partition(".")[0] == "extends":
        return f"{source}: extends: cannot be overridden (a key of the file)"
    if key.count(".") >= DEEPEST or too_deep(value):
        return placed(source, (), TOO_DEEP)
    try:
        document.put(key, value, source)
    except OverrideRefused as error:
        return placed(source, error.path, str(error))
    return None
