"""A scenario's values put together from files and overrides, each with the place it came from."""

import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from asyncagg.scenario.errors import KeyPath, quoted, show
from asyncagg.scenario.sources import Origin, Sources


class OverrideRefused(Exception):
    """An override names no place that could hold a value."""

    def __init__(self, path: KeyPath, text: str) -> None:
        super().__init__(text)
        self.path = path


class Document:
    """Values in layers: tables merge key by key, anything else replaces what was there, lists whole."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources = Sources()
        self._layers = 0

    def lay(self, values: Mapping[str, Any], lines: Mapping[KeyPath, int], source: str, folder: Path) -> None:
        """Puts a file's values over what is there. The last file laid is the scenario itself."""
        self.sources.folder = folder
        layer = self._layers
        self._layers += 1
        top = 1 if lines else None

        def origin(path: KeyPath) -> Origin:
            return Origin(source, lines.get(path, top), layer, folder)

        self.sources.origins[()] = origin(())
        self._merge((), self.values, values, origin)

    def put(self, key: str, value: object, source: str) -> None:
        """Sets the value at a dotted path with indices of lists, above every file; raises OverrideRefused."""
        steps = key.split(".")
        if "" in steps:
            raise OverrideRefused(tuple(steps[: steps.index("")]), "an empty key (key.path=value)")
        node: Any = self.values
        path: KeyPath = ()
        origin = Origin(source, None, self._layers, self.sources.folder)
        for step in steps[:-1]:
            path = (*path, _step(node, step, path))
            if isinstance(node, dict) and path[-1] not in node:
                node[path[-1]] = {}
                self.sources.origins[path] = origin
            node = node[path[-1]]
        path = (*path, _step(node, steps[-1], path))
        self._forget(path)
        node[path[-1]] = deepcopy(value)
        self._mark(path, value, lambda _: origin)

    def layer(self, path: KeyPath) -> int:
        """The layer that says the value; below all others where none does."""
        origin = self.sources.origins.get(path)
        return -1 if origin is None else origin.layer

    def drop(self, path: KeyPath) -> None:
        """Takes away a value that is there."""
        node: Any = self.values
        for step in path[:-1]:
            node = node[step]
        del node[path[-1]]
        self._forget(path)

    def anchor(self, path: KeyPath) -> None:
        """Makes a relative file path absolute: it starts at the folder of the file that says it."""
        node: Any = self.values
        for step in path[:-1]:
            node = node[int(step)] if isinstance(node, list) else node.get(step) if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(text := node.get(path[-1]), str) and text:
            node[path[-1]] = os.path.abspath(self.sources.nearest(path).folder / text)

    def _merge(
        self,
        path: KeyPath,
        below: dict[str, Any],
        above: Mapping[str, Any],
        origin: Callable[[KeyPath], Origin],
    ) -> None:
        for key, value in above.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(below.get(key), dict):
                self.sources.origins[here] = origin(here)
                self._merge(here, below[key], value, origin)
            else:
                self._forget(here)
                below[key] = deepcopy(value)
                self._mark(here, value, origin)

    def _mark(self, path: KeyPath, value: object, origin: Callable[[KeyPath], Origin]) -> None:
        self.sources.origins[path] = origin(path)
        match value:
            case dict():
                for key, item in value.items():
                    self._mark((*path, key), item, origin)
            case list():
                for index, item in enumerate(value):
                    self._mark((*path, index), item, origin)

    def _forget(self, path: KeyPath) -> None:
        origins = self.sources.origins
        for other in [other for other in origins if other[: len(path)] == path]:
            del origins[other]


def _step(node: object, step: str, path: KeyPath) -> str | int:
    """The step as a key of the node, if it can be one."""
    match node:
        case dict():
            return step
        case list() if step.isascii() and step.isdigit() and int(step[:10]) < len(node):
            return int(step)
        case list():
            raise OverrideRefused(path, f"is a list without an element {quoted(step)} ({_range(node)})")
    raise OverrideRefused(path, f"is {show(node)} and holds no key {quoted(step)} (a table or a list)")


def _range(elements: list[Any]) -> str:
    return f"an index from 0 to {len(elements) - 1}" if elements else "it is empty"
