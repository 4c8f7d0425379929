"""Scenarios drawn from seeds: what must hold does in a fixed number of them, and a failing one becomes a small file."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.cli import invoke_testing, lines

from asyncagg.scenario import parse
from asyncagg.studies.swarm import shrink as swarm_shrink
from asyncagg.studies.swarm.play import examine, scenario_of
from asyncagg.studies.swarm.shrink import shrink, write

SEEDS = 60
SLICES = 6


@pytest.mark.parametrize("part", range(SLICES))
def test_every_invariant_holds(part: int) -> None:
    broken = {seed: found for seed in range(part, SEEDS, SLICES) if (found := examine(scenario_of(seed)))}
    assert not broken, f"python -m asyncagg.testing swarm --seeds {min(broken)}..{min(broken)}: {broken}"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_thousand_seeds_pass_in_one_go(tmp_path: Path) -> None:
    done = invoke_testing("swarm", "--seeds", "0..1999", "--out", tmp_path)
    assert (done.exit_code, lines(done)) == (0, [])
    assert done.stdout == "2000 seeds: every invariant held\n"


def test_a_seed_has_one_scenario() -> None:
    assert [scenario_of(seed) for seed in range(20)] == [scenario_of(seed) for seed in range(20)]


def test_everything_is_drawn() -> None:
    seen: Counter[str] = Counter()
    for seed in range(250):
        values = scenario_of(seed)
        seen.update(values.keys())
        seen.update(f"{key} {value}" for key, value in values["aggregation"].items() if isinstance(value, str))
        seen.update(values["aggregation"].keys())
        seen.update(values["owners"].keys())
        seen.update(fault["kind"] for fault in values.get("faults", []))
    wanted = [
        *(f"protocol {name}" for name in ("plain", "pairwise", "additive", "secagg", "secagg+")),
        *("threat lying", "threat curious", "reveal model-owner", "memory_budget", "permit_limit"),
        *("per_round", "groups", "link", "links", "network", "phases", "compute"),
        *(
            "drop",
            "slow",
            "crash",
            "restart",
            "partition",
            "heal",
            "hold",
            "release",
            "reset",
            "corrupt",
            "availability",
        ),
    ]
    assert [name for name in wanted if not seen[name]] == []


def _two_owners_and_a_drop(values: dict[str, Any]) -> list[str]:
    """Stands for a bug that needs two owners, and an owner that drops."""
    parse(values)
    dropping = any(fault["kind"] == "drop" for fault in values.get("faults", []))
    return ["mean: wrong"] if dropping and values["owners"]["count"] >= 2 else ["calm: something else"]


def test_a_failing_scenario_shrinks_to_what_it_takes(tmp_path: Path) -> None:
    seed = next(seed for seed in range(200) if _two_owners_and_a_drop(scenario_of(seed)) == ["mean: wrong"])
    small, broken = shrink(scenario_of(seed), ["mean: wrong"], _two_owners_and_a_drop)
    assert broken == ["mean: wrong"]
    assert [fault["kind"] for fault in small["faults"]] == ["drop"]
    assert (small["owners"], small["rounds"], small["workload"]["dimension"]) == ({"count": 2}, 1, 1)
    text = write(tmp_path, seed, small, broken).read_text()
    assert text.startswith(f"# mean: wrong\n# run it:          asyncagg run {tmp_path}/swarm-{seed}.toml\n")
    assert tomllib.loads(text) == small


def test_a_failing_seed_is_a_line_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm_shrink, "examine", lambda values: ["mean: wrong"])
    monkeypatch.setattr(swarm_shrink, "shrink", lambda values, broken: (values, broken))
    assert swarm_shrink.check_seed(3, tmp_path) == f"seed 3: mean: wrong ({tmp_path}/swarm-3.toml)"
    assert tomllib.loads((tmp_path / "swarm-3.toml").read_text()) == scenario_of(3)


def test_the_command_plays_a_range() -> None:
    done = invoke_testing("swarm", "--seeds", "0..1")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "2 seeds: every invariant held\n", "")


@pytest.mark.parametrize("seeds", ["", "3", "5..2", "a..b", "-1..4", "1...4"])
def test_bad_seeds_are_bad_usage(seeds: str) -> None:
    done = invoke_testing("swarm", f"--seeds={seeds}")
    assert done.exit_code == 2
    assert lines(done) == [
        f'python -m asyncagg.testing swarm: --seeds is "{seeds}" (first and last seed, such as 0..1999)'
    ]
