"""Whom a fault strikes: by name wherever they are, by the seed among those there, and whole groups together."""

from typing import Any

from support.runs import scenario

from asyncagg.scenario import Scenario, parse
from asyncagg.scenario.draws import cohort, dropped, struck


def crashing(players: Any, owners: int = 12, **tables: Any) -> Scenario:
    fault = {"kind": "crash", "players": players, "phase": "upload"}
    return parse(scenario("plain", owners, faults=[fault], **tables))


GROUPS = {"groups": [{"count": 3}, {"count": 4}, {"count": 2}]}  # and a rest of 3
MEMBERS = [range(3), range(3, 7), range(7, 9), range(9, 12)]


def test_those_named_are_struck_in_a_round_or_out_of_it() -> None:
    names = ("compute-node-2", "data-owner-11", "model-owner")
    named = crashing(list(names), owners_table={"per_round": 2})
    assert struck(named, 0, 0) == struck(named, 0, None) == names


def test_those_chosen_are_of_the_rounds_cohort() -> None:
    chosen = crashing({"count": 2}, owners_table={"per_round": 5})
    for number in range(20):
        there = {f"data-owner-{owner}" for owner in cohort(chosen, number)}
        assert len(struck(chosen, 0, number)) == 2
        assert set(struck(chosen, 0, number)) <= there
    assert len({struck(chosen, 0, number) for number in range(20)}) > 10
    assert len(struck(crashing({"fraction": 0.5}, owners_table={"per_round": 2}), 0, None)) == 6


def test_groups_are_struck_whole() -> None:
    wholes = {frozenset(f"data-owner-{owner}" for owner in members) for members in MEMBERS}
    seen = set()
    for seed in range(60):
        players = {"count": 1, "correlated_by": "group"}
        chosen = struck(crashing(players, owners_table=GROUPS, seed=seed), 0, 0)
        assert frozenset(chosen) in wholes
        seen.add(frozenset(chosen))
    assert seen == wholes
    half = crashing({"fraction": 0.5, "correlated_by": "group"}, owners_table=GROUPS)
    assert sum(set(struck(half, 0, 0)) >= whole for whole in wholes) == 2


def test_groups_by_probability_are_struck_as_often_as_it_says() -> None:
    players = {"probability": 0.25, "correlated_by": "group"}
    times = sum(len(struck(crashing(players, owners_table=GROUPS, seed=seed), 0, 0)) for seed in range(400))
    assert abs(times / (400 * 12) - 0.25) < 0.06  # five standard deviations of 1,600 draws


def test_drops_may_be_correlated_too() -> None:
    drop = {"kind": "drop", "players": {"count": 1, "correlated_by": "group"}, "phase": "upload"}
    chosen = parse(scenario("plain", 12, owners_table=GROUPS, faults=[drop]))
    assert tuple(dropped(chosen, 0)) in [tuple(members) for members in MEMBERS]


def test_another_fault_shifts_nobodys_draws() -> None:
    fault = {"kind": "crash", "players": {"probability": 0.5}, "phase": "upload"}
    one, two = (parse(scenario("plain", 30, faults=[fault] * times)) for times in (1, 2))
    assert struck(one, 0, 0) == struck(two, 0, 0) != struck(two, 1, 0)
