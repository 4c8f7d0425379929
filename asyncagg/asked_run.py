"""The run that a Python program asks for: its scenario, its owners, where it is kept and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncagg.engines import launch
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.runtime.stop_order import StopOrder
from asyncagg.kept_run import KeptRun
from asyncagg.learning import workload
from asyncagg.learning.owners import DataOwner, ModelOwner
from asyncagg.learning.workload import Workload
from asyncagg.round_bar import RoundBar
from asyncagg.runs.result import RoundResult
from asyncagg.scenario.reading.load import load, parse
from asyncagg.scenario.schema.scenario import Scenario

Source = str | Path | Mapping[str, Any] | Scenario
Owners = Sequence[DataOwner] | str
"""Objects, or the name of their class, "module:Class"."""
OnRound = Callable[[dict[str, Any]], object]

_GIVEN = "given"
_MAIN = "__main__:"


@dataclass(frozen=True, slots=True)
class AskedRun:
    """Arguments of one call of `asyncagg.run`."""

    scenario: Source | None
    engine: str | None
    seed: int | None
    owners: Owners | None
    model_owner: ModelOwner | str | None
    out: str | Path | None
    resume: str | Path | None
    add_rounds: int
    on_round: OnRound | None
    progress: bool

    def prepared(self) -> Callable[[StopOrder | None], RunRecord]:
        """The run, ready to begin; it may be given an order to stop. Raises what `asyncagg.run` does for bad input."""
        self._check()
        given = self._given()
        kept = None if self.resume is None else KeptRun.again(Path(self.resume), add_rounds=self.add_rounds)
        scenario = self._load() if kept is None else kept.scenario
        try:
            launch.check_engine(scenario)
            self._check_owners(scenario, given)
        except BaseException:
            if kept is not None:
                kept.release()
            raise
        if kept is None and self.out is not None:
            kept = KeptRun.new(scenario, Path(self.out))
        return lambda stop: self._play(scenario, kept, given, stop)

    def _play(
        self, scenario: Scenario, kept: KeptRun | None, given: Workload | None, stop: StopOrder | None
    ) -> RunRecord:
        record = launch.begin(scenario) if kept is None else kept.finished
        with ExitStack() as stack:
            bar = stack.enter_context(RoundBar(scenario.rounds)) if self.progress else None

            def tell(each: RoundResult) -> None:
                if bar is not None:
                    bar.show(each)
                if self.on_round is not None:
                    self.on_round(each.to_json())

            def work() -> None:
                launch.run(scenario, workload=given, record=record, progress=tell, stop=stop)

            if kept is None:
                work()
            else:
                kept.during(work)
        return record

    # -- what goes together --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        owners, model_owner = self.owners, self.model_owner
        if owners is not None and not isinstance(owners, Sequence):
            raise TypeError(f"owners must be a list of asyncagg.DataOwner, not {type(owners).__name__}")
        if (owners is None) != (model_owner is None):
            raise TypeError("owners and model_owner go together: give both or neither")
        if isinstance(owners, str) != isinstance(model_owner, str):
            raise TypeError('owners and model_owner are of one kind: objects, or names of classes, "module:Class"')
        if self.resume is None and self.scenario is None:
            raise TypeError("scenario is missing (a scenario, or resume=RUN_DIR)")
        if type(self.add_rounds) is not int or self.add_rounds < 0:
            raise TypeError(f"add_rounds must be a number of rounds, not {self.add_rounds!r}")
        if self.add_rounds and self.resume is None:
            raise TypeError("add_rounds goes with resume: rounds are added to a finished run")
        if self.resume is not None:
            too_much = ("scenario", self.scenario), ("engine", self.engine), ("seed", self.seed), ("out", self.out)
            for name, value in too_much:
                if value is not None:
                    raise TypeError(f"{name} does not go with resume: the run directory says it")
            if isinstance(owners, str):
                raise TypeError("names of classes do not go with resume: the run directory says them")

    def _check_owners(self, scenario: Scenario, given: Workload | None) -> None:
        """ScenarioError where owners and the scenario, perhaps that of a run which goes on, do not fit."""
        if given is None:
            if scenario.engine == "processes" and isinstance(self.owners, str) and self.owners.startswith(_MAIN):
                right = "a class in a module of its own"
                scenario.refuse("workload.owner", f'is "{self.owners}", which other processes cannot import ({right})')
            return
        if scenario.engine == "processes":
            right = 'sim or tcp for objects; or the names of their classes, owners="module:Class"'
            scenario.refuse("engine", f'is "processes", which builds owners from the workload ({right})')
        if scenario.workload.kind != _GIVEN:
            scenario.refuse("workload.kind", f'is "{scenario.workload.kind}", and owners are given (none)')
        if scenario.owners.count != given.population:
            scenario.refuse("owners.count", f"is {scenario.owners.count}, and {given.population} are given (as many)")

    # -- what is said --------------------------------------------------------------------------------------------------

    def _given(self) -> Workload | None:
        owners, model_owner = self.owners, self.model_owner
        if owners is None or isinstance(owners, str) or model_owner is None or isinstance(model_owner, str):
            return None
        return workload.given(owners, model_owner)

    def _load(self) -> Scenario:
        source = self.scenario
        if isinstance(source, str | Path):
            said = [f"{table}.{key}={value}" for table, keys in self._tables().items() for key, value in keys.items()]
            return load(source, said, engine=self.engine, seed=self.seed)
        if not isinstance(source, Scenario | Mapping):
            raise TypeError(f"scenario must be a path, a mapping or a Scenario, not {type(source).__name__}")
        values = dict(source.normalised() if isinstance(source, Scenario) else source)
        values |= {key: value for key, value in (("engine", self.engine), ("seed", self.seed)) if value is not None}
        for table, keys in self._tables().items():
            values[table] = {**_as_far_as(values.get(table, {}), keys), **keys}
        return parse(values)

    def _tables(self) -> dict[str, dict[str, Any]]:
        """Keys that the given owners set in place of the scenario: table → keys."""
        match self.owners:
            case None:
                return {}
            case str(name):
                return {"workload": {"kind": "python", "owner": name, "model_owner": self.model_owner}}
            case owners:
                return {"owners": {"count": len(owners)}, "workload": {"kind": _GIVEN}}


def _as_far_as(table: Mapping[str, Any], keys: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keys of a table, unless it is another kind's."""
    return table if "kind" not in keys or table.get("kind") == keys["kind"] else {}
