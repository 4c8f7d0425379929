"""Whoever drops, and when: the mean of those who stayed, to the bit, or a named failure where a floor was crossed."""

import pytest
from support.attack_driver import Coalition, Played, owners, play
from support.secagg_cases import Case, Outcome, case, expected

from asyncagg.protocols.names import index_of, owner_name
from asyncagg.scenario.errors import ScenarioError

QUICK = range(48)
LONG = range(1000, 1500)


@pytest.mark.parametrize("seed", QUICK)
def test_a_round_is_exact_or_fails_by_name(seed: int) -> None:
    check(case(seed, most=60 if seed % 6 == 0 else 24), f"test_a_round_is_exact_or_fails_by_name[{seed}]")


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG)
def test_many_rounds_are_exact_or_fail_by_name(seed: int) -> None:
    check(case(seed), f"test_many_rounds_are_exact_or_fail_by_name[{seed}]")


def test_the_cases_are_worth_it() -> None:
    """They end in each way there is, and hold every protocol, threat, reveal, and a drop in every phase."""
    cases = [case(seed) for seed in LONG]
    kinds = {(each.protocol, each.threat, each.reveal) for each in cases}
    assert len(kinds) == 8
    ends = {expected(each, None).failed_in for each in cases if each.protocol == "secagg"}
    assert ends == {None, "scenario", "publish", "advertise", "share", "upload", "certify", "unmask", "reveal"}
    assert all(any(each.drops[phase] for each in cases) for phase in cases[0].drops)


def check(each: Case, test: str) -> None:
    replay = f'{each}\nreplay: pytest "tests/protocols/secagg/test_property.py::{test}"'
    if expected(each, None).failed_in == "scenario":
        with pytest.raises(ScenarioError, match=r"threshold|minimum_cohort|secagg"):
            play(each.scenario())
        return
    played = play(each.scenario())
    graph = next((kept.session for kept in played.kept.values()), None)
    outcome = expected(
        each,
        None if graph is None else lambda owner: [index_of(near) for near in graph.neighbours(owner_name(owner))],
    )
    if outcome.failed_in is None:
        check_mean(played, outcome, replay)
    else:
        check_failure(played, outcome, replay)


def check_mean(played: Played, outcome: Outcome, replay: str) -> None:
    each = played.round
    assert played.result.status == "ok", f"{played.reason}\n{replay}"
    assert each.exact, replay
    assert each.error_max is not None, replay
    assert each.error_bound is not None, replay
    assert each.error_max <= each.error_bound, replay
    assert each.survivors == owners(*outcome.survivors), replay
    assert each.dropped == {owner_name(owner): phase for owner, phase in sorted((outcome.dropped or {}).items())}, (
        replay
    )
    assert each.silent_after == {owner_name(index): phase for index, phase in (outcome.silent_after or {}).items()}, (
        replay
    )
    assert each.mask_expansions["data-owner"] == outcome.masked, replay
    removing = each.mask_expansions["compute-node"] + each.mask_expansions["model-owner"]
    assert removing == outcome.removed, replay
    Coalition(played).check_it_is_blind(len(outcome.survivors))


def check_failure(played: Played, outcome: Outcome, replay: str) -> None:
    assert played.result.status == "failed", f"must fail in {outcome.failed_in}\n{replay}"
    phases = [record.phase for record in played.trace if record.event == "phase"]
    assert phases[-1] == outcome.failed_in, f"{played.reason}\n{replay}"
    assert played.reason, replay
    assert played.means == {}, replay
    assert played.round.exact is None, replay
    if outcome.failed_in not in ("unmask", "reveal"):  # there, shares have been shown: of the one sum alone
        assert not Coalition(played).sums() if played.kept else True, replay
    elif played.kept:
        Coalition(played, model_owner=True).check_it_is_blind(2)
