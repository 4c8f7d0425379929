"""The scenario as a whole: what a file says with every default filled in, how it is written, its schema."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, PrivateAttr, Strict

from asyncagg.scenario.errors import KeyPath, Mistake, ScenarioError
from asyncagg.scenario.schema.aggregation import Aggregation, AggregationTable, Encoding
from asyncagg.scenario.schema.compute import ComputeSection, DeviceName
from asyncagg.scenario.schema.faults import Fault
from asyncagg.scenario.schema.fields import Table, inner
from asyncagg.scenario.schema.links import Group, LinkName, LinkTable
from asyncagg.scenario.schema.phases import Phases
from asyncagg.scenario.schema.recording import TraceSection
from asyncagg.scenario.schema.workload import Digits, Python, Vectors, Workload
from asyncagg.scenario.sources import Sources
from asyncagg.scenario.values.toml import to_toml

ENGINES = ("sim", "tcp", "processes", "hosts")
Engine = Literal["sim", "tcp", "processes", "hosts"]

_NOT_IN_DIGEST = {"name", "description", "engine", "check", "trace", "expect"}
_DIGEST_LABEL = b"asyncagg scenario 1\n"


class Owners(Table):
    """The data owners."""

    count: int = Field(3, ge=1, le=1_000_000, description="the pinned population")
    per_round: int | None = Field(
        None,
        ge=1,
        description="owners in each round, chosen by the seed (stated privacy bits do not hold then); absent: all",
    )
    per_process: int = Field(50, ge=1, le=1000, description="owners that share a process, where processes are many")
    link: LinkName | None = Field(None, description="name of their link, or of a preset; absent: [network]")
    device: DeviceName | None = Field(None, description="what they compute on; absent: [compute]")
    groups: Annotated[tuple[Group, ...], Strict(False)] = Field(
        (), description="owners that are alike, one group after the other by index; the rest are as said here"
    )

    @property
    def in_round(self) -> int:
        """Owners in each round."""
        return self.count if self.per_round is None else self.per_round

    def group_number(self, index: int) -> int | None:
        """The group of the owner with this index; None for those in no group."""
        last = 0
        for number, group in enumerate(self.groups):
            last += group.count
            if index < last:
                return number
        return None


class Expect(Table):
    """Conditions that must hold at the end, or the run fails; those that are absent are not checked."""

    completed: bool | None = Field(None, description="whether every round ended well")
    survivors_at_least: int | None = Field(None, ge=0, description="owners in the sum, in every round")
    exact: bool | None = Field(
        None, description="whether every mean is that of its survivors' inputs as encoded, bit for bit"
    )
    accuracy_at_least: float | None = Field(None, ge=0, le=1, description="accuracy after the last round")


class Scenario(Table):
    """An experiment, complete and checked. Equal to another that says the same, wherever it was read."""

    name: str = Field(min_length=1, max_length=200, description="what the experiment is called")
    description: str = Field("", description="what it is for")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="everything that is drawn follows from it")
    rounds: int = Field(1, ge=1, le=1_000_000, description="aggregations, one after the other")
    engine: Engine = Field(
        "tcp",
        description="sim: virtual time, in memory; tcp: one process, real sockets; processes: many, on this machine;"
        " hosts: many machines; --engine wins",
    )
    check: bool = Field(True, description="compare each mean with the owners' inputs, which only an experiment can see")
    owners: Owners = inner(Owners, "the data owners")
    aggregation: AggregationTable = inner(Aggregation, "how their vectors are added")
    encoding: Encoding = inner(Encoding, "how values become ring elements")
    workload: Workload = inner(Digits, "what the owners hold and what is learnt")
    network: LinkTable = inner(LinkTable, "the link of every player that has no other")
    links: dict[str, LinkTable] = Field(default_factory=dict, description="links by name")
    phases: Phases = inner(Phases, "how long each phase may last")
    compute: ComputeSection = inner(ComputeSection, "what computing costs in virtual time; absent: nothing")
    faults: Annotated[tuple[Fault, ...], Strict(False)] = Field((), description="what goes wrong")
    trace: TraceSection = inner(TraceSection, "how much of the run is written down")
    expect: Expect = inner(Expect, "what the run must come to")

    _sources: Sources = PrivateAttr(default_factory=Sources)
    _contents: str | None = PrivateAttr(default=None)
    _hash: int | None = PrivateAttr(default=None)

    def model_post_init(self, context: object) -> None:
        """Keeps where the values came from, which is the validation's context."""
        if isinstance(context, Sources):
            self._sources = context

    @property
    def base(self) -> Path:
        """The folder that the workload's modules, and any relative path, start from."""
        return self.workload.path if isinstance(self.workload, Python) else self._sources.folder

    def normalised(self) -> dict[str, Any]:
        """The scenario as a file would say it with nothing left out, in plain values."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not self.owners.groups:
            del values["owners"]["groups"]
        if not self.encoding.clip_by:
            del values["encoding"]["clip_by"]
        return {key: value for key, value in values.items() if value or key not in ("faults", "links", "compute")}

    def normalised_toml(self) -> str:
        """As `normalised`, in TOML; loads to an equal scenario from any folder, as its paths are absolute."""
        return to_toml(self.normalised())

    def acted_on(self) -> dict[str, Any]:
        """All that players act on, by key, in plain values: the same on every host that runs this experiment.

        Left out are name, description, engine and processes, what the harness checks, and where files are; a data
        file stands there by its contents. Raises ScenarioError where it cannot be read.
        """
        said = self._said_to_players()
        if isinstance(self.workload, Vectors):
            said["workload"]["file"] = self._digest_of_file(self.workload.file)
        return said

    def digest(self) -> bytes:
        """SHA-256 of all that players act on, 32 bytes. Raises ScenarioError as `acted_on` does."""
        return hashlib.sha256(_DIGEST_LABEL + _canonical(self.acted_on())).digest()

    def digest_without_rounds(self) -> bytes:
        """As `digest`, and the same however many rounds there are."""
        acted_on = self.acted_on()
        del acted_on["rounds"]
        return hashlib.sha256(_DIGEST_LABEL + _canonical(acted_on)).digest()

    def _said_to_players(self) -> dict[str, Any]:
        """`acted_on` without any data file."""
        said = {key: value for key, value in self.normalised().items() if key not in _NOT_IN_DIGEST}
        owners = {key: value for key, value in said["owners"].items() if key != "per_process"}
        workload = {key: value for key, value in said["workload"].items() if key not in ("path", "file")}
        return said | {"owners": owners, "workload": workload}

    def _digest_of_file(self, path: Path) -> str:
        """SHA-256 of what the workload's file holds, read once: a scenario keeps its digest."""
        if self._contents is None:
            try:
                with path.open("rb") as file:
                    self._contents = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            except OSError as error:
                self.refuse("workload.file", f"{path} cannot be read: {error.strerror} (a file)")
        return self._contents

    def refuse(self, key: str | KeyPath, text: str) -> NoReturn:
        """Raises ScenarioError for a mistake at `key` that only came out later, such as a bad data file."""
        path: KeyPath = key if isinstance(key, tuple) else tuple(map(_step, key.split(".")))
        raise ScenarioError([self._sources.line(Mistake(path, text))])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        if self._hash is None:  # kept, as every draw of a round asks for it; the same in every process, as it travels
            said = hashlib.sha256(_canonical(self._said_to_players())).digest()
            self._hash = int.from_bytes(said[:7])
        return self._hash


def _step(text: str) -> str | int:
    """A step of a path: the index of a list, or a key."""
    return int(text) if text.isascii() and text.isdigit() else text


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


@cache
def _schema() -> dict[str, Any]:
    schema = Scenario.model_json_schema(by_alias=True)
    extends = {"type": "string", "description": "another scenario to take defaults from, a relative path"}
    first = {"name": schema["properties"]["name"], "extends": extends}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "asyncagg scenario",
        "properties": first | schema["properties"],
    }


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file (draft 2020-12); a fresh copy."""
    copy: dict[str, Any] = json.loads(json.dumps(_schema()))
    return copy
