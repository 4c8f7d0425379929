"""Who takes part and who drops: by the seed, each on its own stream."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.scenario import Scenario, parse
from asyncagg.scenario.draws import cohort, dropped, stream


def scenario(count: int, *faults: dict[str, Any], seed: int = 0, per_round: int | None = None) -> Scenario:
    """Owners that drop as the faults say, in `upload` unless they say otherwise."""
    drop = {"kind": "drop", "phase": "upload"}
    return parse(
        {
            "name": "x",
            "seed": seed,
            "owners": {"count": count} | ({} if per_round is None else {"per_round": per_round}),
            "aggregation": {"minimum_cohort": 1},
            "faults": [drop | fault for fault in faults],
        }
    )


def test_streams_are_what_they_always_were() -> None:
    assert stream(0, "cohort", 3, "data-owner-7").random() == 0.3213709222933211
    assert stream(1, "cohort", 3, "data-owner-7").random() != stream(0, "cohort", 3, "data-owner-7").random()


def test_everyone_takes_part_where_nothing_else_is_said() -> None:
    assert cohort(scenario(4), 0) == (0, 1, 2, 3)
    assert cohort(scenario(4, per_round=4), 0) == (0, 1, 2, 3)


@given(st.integers(0, 2**40), st.integers(1, 30), st.integers(0, 5), st.data())
@settings(max_examples=50, deadline=None)
def test_a_cohort_has_the_size_and_the_order(seed: int, count: int, number: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, count))
    chosen = cohort(scenario(count, seed=seed, per_round=size), number)
    assert len(chosen) == size
    assert list(chosen) == sorted(set(chosen))
    assert set(chosen) <= set(range(count))
    assert chosen == cohort(scenario(count, seed=seed, per_round=size), number)


def test_cohorts_are_uniform_and_change_from_round_to_round() -> None:
    ten_of_forty = scenario(40, per_round=10)
    taken = Counter(owner for number in range(400) for owner in cohort(ten_of_forty, number))
    assert set(taken) == set(range(40))
    # 100 expected each; the standard deviation of a binomial with p = 1/4 over 400 rounds is 8.7
    assert all(abs(times - 100) < 5 * 8.7 for times in taken.values())
    assert len({cohort(ten_of_forty, number) for number in range(20)}) == 20


def test_names_drop_in_their_phase_and_rounds() -> None:
    named = scenario(4, {"players": ["data-owner-2", "data-owner-0"], "phase": "share", "rounds": [0, 3]})
    assert [dropped(named, number) for number in range(4)] == [
        {0: "share", 2: "share"},
        {},
        {},
        {0: "share", 2: "share"},
    ]
    spanned = scenario(4, {"players": ["data-owner-2"], "rounds": "1-2"})
    assert [bool(dropped(spanned, number)) for number in range(4)] == [False, True, True, False]


def test_the_earliest_phase_wins() -> None:
    two = scenario(
        3,
        {"players": ["data-owner-0", "data-owner-1"], "phase": "unmask"},
        {"players": ["data-owner-1", "data-owner-2"], "phase": "publish"},
    )
    assert dropped(two, 0) == {0: "unmask", 1: "publish", 2: "publish"}


def test_only_who_takes_part_can_drop() -> None:
    some = scenario(30, {"players": {"count": 5}}, {"players": ["data-owner-0"]}, per_round=6)
    for number in range(20):
        there = cohort(some, number)
        gone = dropped(some, number)
        assert set(gone) <= set(there)
        assert len(gone) in ((5, 6) if 0 in there else (5,))


@pytest.mark.parametrize(
    ("fraction", "count", "gone"),
    [(0, 10, 0), (1, 10, 10), (0.3, 10, 3), (0.15, 10, 2), (0.25, 10, 3), (0.24, 10, 2), (0.29, 100, 29)],
)
def test_a_fraction_is_rounded_to_the_nearest(fraction: float, count: int, gone: int) -> None:
    assert len(dropped(scenario(count, {"players": {"fraction": fraction}}), 0)) == gone


def test_a_count_is_met_exactly_and_hits_everyone_alike() -> None:
    three = scenario(12, {"players": {"count": 3}})
    hit = Counter(owner for number in range(400) for owner in dropped(three, number))
    assert sum(hit.values()) == 1200
    assert all(abs(times - 100) < 5 * 8.7 for times in hit.values())


def test_a_probability_holds_for_each_owner_on_its_own() -> None:
    tenth = scenario(50, {"players": {"probability": 0.1}})
    sizes = [len(dropped(tenth, number)) for number in range(400)]
    # 2,000 expected in all; the standard deviation is 42
    assert abs(sum(sizes) - 2000) < 5 * 42
    assert len(set(sizes)) > 5
    assert dropped(scenario(50, {"players": {"probability": 0}}), 0) == {}
    assert len(dropped(scenario(50, {"players": {"probability": 1}}), 0)) == 50


@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_another_owner_shifts_nobody_elses_draw(seed: int, count: int, number: int) -> None:
    few, more = (
        dropped(scenario(size, {"players": {"probability": 0.4}}, seed=seed), number) for size in (count, count + 1)
    )
    assert few == {owner: phase for owner, phase in more.items() if owner < count}
    by_count, by_count_of_more = (
        set(dropped(scenario(size, {"players": {"count": 1}}, seed=seed), number)) for size in (count, count + 1)
    )
    assert by_count_of_more in (by_count, {count})


def test_another_fault_or_round_shifts_nothing() -> None:
    one = {"players": {"probability": 0.5}}
    both = scenario(40, one, {"players": {"probability": 0.5}, "phase": "share", "rounds": [1]})
    assert dropped(both, 0) == dropped(scenario(40, one), 0)
    assert dropped(both, 2) == dropped(scenario(40, one), 2) != dropped(both, 0)
