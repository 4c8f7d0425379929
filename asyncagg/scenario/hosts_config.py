"""config.json: which player is where. An entry is one process; the form is the origin example's, with ranges and keys.

    {"model-owner": "10.0.0.1:4440", "server0": "10.0.0.2:4440", "data-owner-0..49": "10.0.0.3:0", "keys": "keys"}

`serverN` is compute-node-N and `train-data-owner-N` data-owner-N. A range of data owners is one process that plays them
all. `keys` is the folder that `asyncagg keys` made, relative to the file. Data owners listen to nobody: their address
only says where they are.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from asyncagg.scenario.errors import ScenarioError, quoted, show
from asyncagg.scenario.reading.files import TOO_DEEP, refused, text_of
from asyncagg.scenario.reading.positions import json_pairs
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.scenario.values.addresses import is_loopback, joined, normal, split, trouble
from asyncagg.scenario.values.players import COMPUTE_NODE, DATA_OWNER, MODEL_OWNER, PlayerRange, without

KEYS = "keys"

_FORM = 'an object from player to "host:port"'
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
_LISTED = 12


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One process: the players in it and where it is. `name` is a player, or a range such as `data-owner-0..49`."""

    name: str
    players: tuple[str, ...]
    host: str
    port: int

    @property
    def span(self) -> PlayerRange:
        """The players as a range."""
        return PlayerRange.parse(self.name)

    @property
    def address(self) -> str:
        """`host:port`, as the file has it."""
        return joined(self.host, self.port)

    @property
    def listens(self) -> bool:
        """True if others dial it: all but data owners."""
        return self.span.role != DATA_OWNER

    @property
    def on_loopback(self) -> bool:
        """True if only this host can reach its address."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class HostsConfig:
    """A config.json without mistakes in itself; `check` compares it with a scenario."""

    source: str
    entries: tuple[HostEntry, ...]
    """Entries in the file's order."""
    keys: Path | None
    """The folder of keys; None where the file names none."""
    _places: Mapping[str, tuple[int, str]] = field(repr=False)
    """Of the entries, by name: the line, and what the file calls it."""

    @property
    def listeners(self) -> tuple[HostEntry, ...]:
        """The entries that others dial: the model owner and the compute nodes."""
        return tuple(entry for entry in self.entries if entry.listens)

    def entry_of(self, spec: str) -> HostEntry:
        """The process that a command line means by a player or a range of data owners.

        A range may also be several whole entries on one host, which are then one process, at port 0.
        Raises ScenarioError.
        """
        try:
            wanted = PlayerRange.parse(spec)
        except ValueError as error:
            raise ScenarioError([f"{show(spec)}: {error}"]) from None
        touched = [entry for entry in self.entries if wanted.overlap(entry.span)]
        if absent := [part.name for part in without(wanted, [entry.span for entry in touched])]:
            raise ScenarioError([f"{self.source}: has no {' and no '.join(absent)} ({self._choice()})"])
        for entry in touched:
            if wanted.overlap(entry.span) != entry.span:
                raise ScenarioError([self.line(entry, f"is one process, {show(spec)} only a part of it (the whole)")])
            if normal(entry.host) != normal(touched[0].host):
                text = f"is not on the host of {touched[0].name} ({show(spec)} as one process is on one host)"
                raise ScenarioError([self.line(entry, text)])
        return touched[0] if len(touched) == 1 else HostEntry(wanted.name, wanted.players(), touched[0].host, 0)

    def check(self, scenario: Scenario) -> None:
        """Raises ScenarioError, a line for each mistake, unless the entries are exactly the scenario's players."""
        population = {
            MODEL_OWNER: PlayerRange(MODEL_OWNER, 0, 0),
            COMPUTE_NODE: PlayerRange(COMPUTE_NODE, 0, scenario.aggregation.compute_nodes - 1),
            DATA_OWNER: PlayerRange(DATA_OWNER, 0, scenario.owners.count - 1),
        }
        lines = [*self._strangers(population), *self._missing(population)]
        if lines:
            raise ScenarioError(lines)

    def check_resolves(self, mine: HostEntry) -> None:
        """ScenarioError where this host cannot resolve the name under which `mine` listens. Waits for the resolver.

        Others are looked up when they are dialled: one whose name does not resolve yet has not come yet.
        """
        if (why := trouble(mine.host)) is not None:
            text = f"the host {quoted(mine.host)} is not found: {why} (a name that resolves, or an address)"
            raise ScenarioError([self.line(mine, text)])

    def with_keys(self, folder: str) -> str:
        """The text of a file with the same entries and this folder of keys."""
        entries = {entry.name: entry.address for entry in self.entries}
        return json.dumps({**entries, KEYS: folder}, indent=4) + "\n"

    def line(self, entry: HostEntry, text: str) -> str:
        """Line for the user about an entry: file, line, name in the file, text."""
        return _line(self.source, *self._places[entry.name], text)

    def _strangers(self, population: Mapping[str, PlayerRange]) -> Iterator[str]:
        for entry in self.entries:
            there = population[entry.span.role]
            strange = [part.name for part in without(entry.span, [there])]
            if strange:
                what = "is" if strange == [entry.name] else f"has {' and '.join(strange)}, which is"
                yield self.line(entry, f"{what} not in the scenario ({there.name})")

    def _missing(self, population: Mapping[str, PlayerRange]) -> Iterator[str]:
        spans = [entry.span for entry in self.entries]
        for role in population.values():
            for part in without(role, spans):
                yield f'{self.source}: {part.name}: is missing, but in the scenario ("host:port")'

    def _choice(self) -> str:
        names = [entry.name for entry in self.entries]
        return ", ".join(names if len(names) <= _LISTED else [*names[: _LISTED - 1], "…"])


def load_config(path: str | os.PathLike[str]) -> HostsConfig:
    """Reads a config.json, whatever its name ends in. Raises ScenarioError with a line for each mistake there is."""
    source = os.fspath(path)
    reader = _Reader(Path(source).parent)
    for key, value, line in _pairs(source):
        reader.read(key, value, line)
    reader.compare_players()
    reader.compare_addresses()
    if reader.wrong:
        raise ScenarioError([_line(source, *said) for said in sorted(reader.wrong)])
    if not reader.entries:
        raise refused(source, f"names no player ({_FORM})", 1)
    places = {entry.name: (named.line, named.key) for entry, named in reader.entries}
    return HostsConfig(source, tuple(entry for entry, _ in reader.entries), reader.keys, places)


class _KeyedRange(NamedTuple):
    """A key that names players, whatever its value; `order` is its place in the file."""

    span: PlayerRange
    key: str
    line: int
    order: int


class _Reader:
    """Takes the keys of a file one by one and gathers what is wrong: (line, key, text)."""

    def __init__(self, folder: Path) -> None:
        self.entries: list[tuple[HostEntry, _KeyedRange]] = []
        self.keys: Path | None = None
        self.wrong: list[tuple[int, str, str]] = []
        self._folder = folder
        self._named: list[_KeyedRange] = []

    def read(self, key: str, value: object, line: int) -> None:
        """A key of the file."""
        if key == KEYS:
            return self._read_keys(value, line)
        named: _KeyedRange | None = None
        try:
            named = _KeyedRange(PlayerRange.parse(key), key, line, len(self._named))
            self._named.append(named)
        except ValueError as error:
            self.wrong.append((line, key, str(error)))
        try:
            host, port = split(value, named is not None and named.span.role != DATA_OWNER)
        except ValueError as error:
            self.wrong.append((line, key, str(error)))
            return
        if named is not None:
            self.entries.append((HostEntry(named.span.name, named.span.players(), host, port), named))

    def compare_players(self) -> None:
        """No player is in two entries, whatever it is called there."""
        widest: _KeyedRange | None = None
        for named in sorted(self._named, key=lambda named: (named.span.role, named.span.first, named.order)):
            if widest is None or (both := named.span.overlap(widest.span)) is None:
                widest = named
                continue
            first, second = sorted((widest, named), key=lambda named: named.order)
            what = "it" if second.key in (first.key, both.name) else both.name
            self.wrong.append((second.line, second.key, f"line {first.line} has {what} already (each player once)"))
            widest = max(widest, named, key=lambda named: named.span.last)

    def compare_addresses(self) -> None:
        """No two listeners have one address."""
        taken: dict[tuple[str, int], HostEntry] = {}
        for entry, named in self.entries:
            if entry.listens:
                first = taken.setdefault((normal(entry.host), entry.port), entry)
                if first.name != entry.name:
                    self.wrong.append((named.line, named.key, f"has the address of {first.name} (one of its own)"))

    def _read_keys(self, value: object, line: int) -> None:
        if self.keys is not None:
            self.wrong.append((line, KEYS, "is given twice (once)"))
        elif not isinstance(value, str) or not value or not value.isprintable():
            self.wrong.append((line, KEYS, f"is {show(value)} (the folder that `asyncagg keys` made)"))
        else:
            self.keys = self._folder / value


def _pairs(source: str) -> Iterator[tuple[str, object, int]]:
    """The keys of the file with their values and lines."""
    text = text_of(source, "the path of a config.json")
    try:
        values = json.loads(text)
    except RecursionError:
        raise refused(source, TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise refused(source, f"is not JSON: {error.msg} ({_FORM})", error.lineno) from None
    except ValueError as error:  # a number of thousands of digits
        raise refused(source, f"is not JSON: {error} ({_FORM})") from None
    if not isinstance(values, dict):
        raise refused(source, f"holds {show(values)} ({_FORM})", 1)
    return json_pairs(text)


def _line(source: str, line: int, key: str, text: str) -> str:
    """As `placed` has it, but that the dots of a range are no path."""
    return f"{source}:{line}: {key if _PLAIN.fullmatch(key) else quoted(key)}: {text}"
