"""Scenarios out of a seed: any protocol, sizes, links, deadlines and faults; small enough that a run takes a moment.

What comes out is a scenario's plain values, as a file would hold them. Only feasible ones count: what the scenario's
own checks refuse is drawn again, from the next stream of the same seed.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from asyncagg.engines.experiment import prepare
from asyncagg.net.links.presets import PRESETS
from asyncagg.protocols.names import PHASES
from asyncagg.protocols.registry import BUILT_IN, find
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import parse

Values = dict[str, Any]
"""A scenario as a file says it."""

DRAWS: Final = 200
"""Draws for one seed; far more than any needs."""

_SPEAKING = ("publish", "advertise", "share", "upload", "certify", "unmask")
_CUTS = ("partition", "hold")
_FAULTS = ("drop", "drop", "slow", "crash", "crash-restart", "partition", "hold", "reset", "corrupt")


def scenario_of(seed: int, protocol: str | None = None) -> Values:
    """The scenario of this seed: always the same one, of any protocol that comes along, or of the one that is named.

    ValueError if nothing feasible is found, which is a bug.
    """
    for again in range(DRAWS):
        values = _Draw(Random(f"swarm {seed} {again}"), protocol).scenario(seed)
        try:
            prepare(parse(values))
        except ScenarioError:
            continue
        return values
    raise ValueError(f"seed {seed}: none of {DRAWS} scenarios is feasible")


class _Draw:
    """One scenario in the making."""

    def __init__(self, random: Random, protocol: str | None) -> None:
        self.random = random
        drawn = random.choice(tuple(BUILT_IN))
        self.protocol = find(protocol or drawn)
        self.owners = random.choice((random.randint(2, 5), random.randint(4, 12), random.randint(8, 24)))
        self.nodes = random.randint(self.protocol.least_nodes, 4)
        self.lying = self.chance(0.3) and "lying" in self.protocol.threats
        self.calm = self.chance(0.25)
        """Nothing goes wrong: such a run has to succeed."""

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def ms(self, low: int, high: int) -> str:
        return f"{self.random.randint(low, high)} ms"

    def scenario(self, seed: int) -> Values:
        random = self.random
        values: Values = {
            "name": f"swarm-{seed}",
            "engine": "sim",
            "seed": seed,
            "rounds": random.choice((1, 1, 2, 3)),
            "owners": self._owners(),
            "aggregation": self._aggregation(),
            "encoding": {"bits": random.choice((8, 12, 16, 24)), "rounding": random.choice(("stochastic", "nearest"))},
            "workload": {"kind": "synthetic", "dimension": random.randint(self.nodes, 60)},
        }
        if self.chance(0.6):
            values["network"] = self._link()
        if self.chance(0.4):
            self._add_links(values)
        if self.chance(0.25):
            values["compute"] = {"device": random.choice(("phone", "laptop", "server")), "gradient": self.ms(0, 50)}
        if not self.calm:
            self._trouble(values)
        return values

    def _owners(self) -> Values:
        owners: Values = {"count": self.owners}
        if self.chance(0.25):
            owners["per_round"] = self.random.randint(2, self.owners)
        return owners

    def _aggregation(self) -> Values:
        random = self.random
        aggregation: Values = {
            "protocol": self.protocol.name,
            "compute_nodes": self.nodes,
            "threat": "lying" if self.lying else "curious",
            "minimum_cohort": random.randint(2, max(2, self.owners // 2)),
            "corrupt": random.choice((0.0, 0.05, 0.1, 0.2)),
            "dropout": random.choice((0.0, 0.1, 0.2, 0.3)),
            "on_failure": random.choice(("retry", "retry", "skip", "abort")),
            "retries": random.randint(0, 2),
        }
        if len(self.protocol.reveals) > 1 and self.chance(0.4):
            aggregation["reveal"] = "model-owner"
        if self.chance(0.35):
            aggregation["memory_budget"] = f"{random.randint(1, 1500)} B"
        return aggregation

    # -- links ------------------------------------------------------------------------------------------------------

    def _link(self) -> Values:
        if self.chance(0.2):
            return {"preset": self.random.choice(tuple(PRESETS))}
        link: Values = {"latency": self._latency()}
        if self.chance(0.4):
            link["jitter"] = self.ms(0, 10)
        for way in ("bandwidth_up", "bandwidth_down"):
            if self.chance(0.4):
                link[way] = f"{self.random.randint(200, 50_000)} kbit"
        if self.chance(0.3):
            link |= {"loss": self.random.choice((0.001, 0.01, 0.1)), "rto": self.ms(20, 300)}
        if not self.calm and self.chance(0.1):
            link["queue_limit"] = f"{self.random.randint(1, 64)} KiB"
        return link

    def _latency(self) -> str | Values:
        ms = self.ms
        match self.random.choice(("constant", "uniform", "normal", "lognormal", "exponential", "cubic", "empirical")):
            case "uniform":
                return {"model": "uniform", "low": ms(0, 10), "high": ms(10, 90)}
            case "normal":
                return {"model": "normal", "mean": ms(5, 60), "deviation": ms(1, 20)}
            case "lognormal":
                return {"model": "lognormal", "median": ms(5, 60), "sigma": 0.5, "max": "2 s"}
            case "exponential":
                return {"model": "exponential", "mean": ms(5, 60), "max": "2 s"}
            case "cubic":
                return {"model": "cubic", "low": ms(1, 20), "high": ms(20, 60), "max": "2 s"}
            case "empirical":
                return {"model": "empirical", "quantiles": [ms(0, 5), ms(6, 20), ms(21, 150)]}
        return ms(0, 80)

    def _add_links(self, values: Values) -> None:
        """A link of the scenario's own, for all owners or for groups of them."""
        values["links"] = {"own": self._link()}
        owners, count = values["owners"], self.random.randint(1, self.owners)
        if self.chance(0.4):
            owners["link"] = "own"
        else:
            owners["groups"] = [{"count": count, "link": "own"}]
            if count < self.owners:
                preset = self.random.choice(tuple(PRESETS))
                owners["groups"].append({"count": self.random.randint(1, self.owners - count), "link": preset})

    # -- trouble ----------------------------------------------------------------------------------------------------

    def _trouble(self, values: Values) -> None:
        """Deadlines that may be missed, phases that close early, and faults."""
        if self.chance(0.3):
            values["aggregation"]["permit_limit"] = self.ms(20, 2000)
        if self.chance(0.7):
            values["phases"] = {phase: self._phase() for phase in PHASES if self.chance(0.6)}
        values["faults"] = [
            fault for _ in range(self.random.randint(0, 4)) for fault in self._faults("groups" in values["owners"])
        ]
        if self.chance(0.15):
            values["faults"].append({"kind": "availability", "intervals": self._intervals()})

    def _phase(self) -> Values:
        phase: Values = {"deadline": self.ms(50, 4000)}
        if self.chance(0.25):
            phase["enough"] = self.random.choice((0.5, 0.7, 0.9))
        return phase

    def _faults(self, grouped: bool) -> list[Values]:
        """One fault, or one with what ends it."""
        kind = self.random.choice(_FAULTS)
        if kind == "drop":
            return [{"kind": "drop", "players": self._choice(grouped), "phase": self.random.choice(_SPEAKING)}]
        fault: Values = {"kind": kind.removesuffix("-restart"), "players": self._anyone(grouped), **self._when()}
        later: list[Values] = []
        match kind:
            case "slow":
                fault |= {"factor": self.random.choice((1.5, 3.0, 20.0)), "delay": self.ms(0, 500)}
            case "crash" if self.chance(0.3):
                fault["lasts"] = self.ms(10, 3000)
            case "crash-restart":
                later = [{"kind": "restart", "state": self.chance(0.5), "at": self.ms(0, 6000)}]
            case "partition" | "hold":
                end = "heal" if kind == "partition" else "release"
                later = [{"kind": end, "at": self.ms(0, 6000)}] if self.chance(0.3) else []
                if self.chance(0.5):
                    fault["lasts"] = self.ms(10, 3000)
            case "corrupt":
                fault["frames"] = self.random.randint(1, 5)
        if kind in (*_CUTS, "reset") and self.chance(0.4):
            fault["peers"] = [self._name(model_owner=True)]
        return [fault, *later]

    def _intervals(self) -> Values:
        """Some owners are there at times, in seconds."""
        owners = [f"data-owner-{index}" for index in range(self.owners) if self.chance(0.3)]
        return {
            owner: ", ".join(self._interval(1000 * at) for at in range(self.random.randint(1, 4))) for owner in owners
        }

    def _interval(self, from_ms: int) -> str:
        """A part of the second that begins then."""
        start, end = sorted(self.random.sample(range(from_ms, from_ms + 1001), 2))
        return f"{start / 1000}-{end / 1000}"

    def _when(self) -> Values:
        if self.chance(0.3):
            return {"at": self.ms(0, 3000)}
        when: Values = {"phase": self.random.choice(PHASES)}
        return when | ({"rounds": [0]} if self.chance(0.4) else {})

    def _anyone(self, grouped: bool) -> object:
        return [self._name(model_owner=self.chance(0.1))] if self.chance(0.5) else self._choice(grouped)

    def _choice(self, grouped: bool) -> Values:
        """Owners by number, fraction or probability."""
        random = self.random
        choice: Values = random.choice(
            (
                {"count": random.randint(1, max(1, self.owners // 3))},
                {"fraction": random.choice((0.1, 0.2, 0.4))},
                {"probability": random.choice((0.05, 0.2))},
            )
        )
        return choice | ({"correlated_by": "group"} if grouped and "count" not in choice and self.chance(0.3) else {})

    def _name(self, model_owner: bool) -> str:
        names = [f"data-owner-{index}" for index in range(self.owners)]
        nodes = [f"compute-node-{index}" for index in range(self.nodes)]
        return self.random.choice(
            [self.random.choice(names), self.random.choice(nodes), *["model-owner"] * model_owner]
        )
