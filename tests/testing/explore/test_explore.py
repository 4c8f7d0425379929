"""The explorer on the protocols as they are: every order of events of four owners, and nothing breaks."""

from __future__ import annotations

import pytest
from support.explored import small

from asyncagg.engines.by_hand.setting import HandSetting
from asyncagg.scenario.errors import ScenarioError
from asyncagg.testing.explore import explore
from asyncagg.testing.explore.search import search
from asyncagg.testing.explore.world import Faults


@pytest.mark.parametrize(
    ("protocol", "threat"),
    [
        ("secagg", "curious"),
        pytest.param("secagg", "lying", marks=pytest.mark.long),
        pytest.param("secagg+", "curious", marks=pytest.mark.long),
        pytest.param("secagg+", "lying", marks=pytest.mark.long),
    ],
)
def test_four_owners_one_fault(protocol: str, threat: str) -> None:
    """A lost owner, a lie, or a deadline that passes early: all states are seen, and each invariant holds in each."""
    seen = explore(small(protocol, threat))
    assert seen.violation is None
    assert seen.is_complete
    assert seen.states > 4_000
    assert seen.ends["a sum"] > 100


@pytest.mark.parametrize(("protocol", "threat"), [("plain", "curious"), ("pairwise", "lying"), ("secagg", "lying")])
def test_three_owners(protocol: str, threat: str) -> None:
    seen = explore(small(protocol, threat, owners=3))
    assert seen.is_complete


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
def test_two_faults_together(protocol: str, threat: str) -> None:
    """As far as the bound goes."""
    assert explore(small(protocol, threat), faults=2, states=300_000).violation is None


def test_without_the_reductions_the_ends_are_the_same() -> None:
    setting = HandSetting.of(small("pairwise", owners=2, corrupt=0, dropout=0))
    reduced, full = (search(setting, Faults(total=1), 1_000_000, reduced) for reduced in (True, False))
    assert reduced.is_complete
    assert full.is_complete
    assert reduced.ends.keys() == full.ends.keys()
    assert full.states > reduced.states


def test_a_bound_cuts_and_says_so() -> None:
    seen = explore(small("secagg"), states=100)
    assert (seen.states, seen.is_cut, seen.is_complete) == (100, True, False)


def test_many_owners_are_refused_in_words() -> None:
    with pytest.raises(ScenarioError, match="owners"):
        explore(small("secagg", owners=40))
