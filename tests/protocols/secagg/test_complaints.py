"""The rules over complaints: whom they name, whom they cannot, and what a coalition gains by any strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.protocols.names import Guilt, Player, index_of, owner_name
from asyncagg.protocols.parameters.graph import masking_graph
from asyncagg.protocols.secagg.complaints import Dealing, Standing


def owners(*indices: int) -> list[Player]:
    return [owner_name(index) for index in indices]


def complete(players: Sequence[Player], threshold: int, most_corrupt: int) -> Dealing:
    """Everyone holds everyone's secrets, its own too."""
    everyone = dict.fromkeys(players)
    return Dealing(dict.fromkeys(players, everyone), threshold, most_corrupt)


# -- one rule after the other ----------------------------------------------------------------------------------------


def standing(count: int, threshold: int, most_corrupt: int) -> Standing:
    return Standing(complete(owners(*range(count)), threshold, most_corrupt))


def test_r1_who_complains_of_too_many_is_guilty_and_lost_and_accuses_nobody() -> None:
    rules = standing(8, 5, 2)
    rules.complain(owner_name(7), owners(0, 1, 2))
    assert rules.guilty == {owner_name(7): "false-complaints"}
    assert [rules.left(dealer) for dealer in owners(0, 1, 2, 3)] == [7, 7, 7, 7]
    rules.complain(owner_name(6), owners(0, 1))
    assert list(rules.guilty) == owners(7)


def test_r2_a_dealer_of_whom_too_many_complain_is_guilty() -> None:
    rules = standing(8, 5, 2)
    for complainer in owners(1, 2):
        rules.complain(complainer, owners(0))
    assert not rules.guilty
    rules.complain(owner_name(3), owners(0))
    assert rules.guilty == {owner_name(0): "bad-boxes"}
    assert rules.excluded() == rules.guilty


def test_r3_while_every_secret_is_within_reach_nobody_is_doomed() -> None:
    rules = standing(8, 5, 3)
    rules.lose(owner_name(7))
    rules.complain(owner_name(6), owners(0))
    rules.complain(owner_name(5), owners(0))
    assert not rules.doomed
    assert rules.excluded() == {}
    rules.lose(owner_name(5))  # it had complained: of this dealer it was no holder any more
    assert rules.left(owner_name(0)) == 5
    assert rules.left(owner_name(1)) == 6
    rules.lose(owner_name(4))
    assert list(rules.doomed) == owners(0)


def test_r4_takes_a_dealer_and_one_of_its_complainers() -> None:
    rules = standing(6, 5, 2)
    rules.complain(owner_name(4), owners(0))
    rules.complain(owner_name(3), owners(0))
    assert rules.excluded() == dict.fromkeys(owners(0, 3), "contradiction")


def test_r4_excludes_nobody_where_owners_are_simply_too_few() -> None:
    rules = standing(6, 5, 2)
    for lost in owners(4, 5):
        rules.lose(lost)
    assert list(rules.doomed) == owners(*range(6))
    assert rules.excluded() == {}


def test_the_pairs_of_r4_are_disjoint() -> None:
    """One complainer for many dealers: it and the first of them, and the others go free."""
    rules = standing(9, 9, 3)
    rules.complain(owner_name(8), owners(1, 2, 3))
    assert list(rules.doomed) == owners(1, 2, 3)
    assert rules.excluded() == dict.fromkeys(owners(1, 8), "contradiction")
    rules.complain(owner_name(7), owners(2, 3))
    assert rules.excluded() == dict.fromkeys(owners(1, 8, 2, 7), "contradiction")


def test_a_guilty_owners_complaints_are_void_in_r4() -> None:
    rules = standing(9, 9, 1)
    rules.complain(owner_name(8), owners(0))
    for complainer in owners(1, 2):
        rules.complain(complainer, owners(8))
    assert rules.excluded() == {owner_name(8): "bad-boxes"}


def test_wrong_shares_and_false_dealing_have_names_of_their_own() -> None:
    rules = standing(6, 4, 1)
    rules.answered_wrong(owner_name(2), owner_name(0))
    rules.answered_wrong(owner_name(2), owner_name(1))
    rules.dealt_wrong(owner_name(5))
    assert rules.guilty == {owner_name(2): "wrong-shares", owner_name(5): "false-dealing"}
    assert [rules.left(dealer) for dealer in owners(0, 1, 2)] == [5, 5, 6]


# -- anything a coalition can do -------------------------------------------------------------------------------------


@dataclass
class Attempt:
    """Who complains of whom, who is lost, in this order."""

    dealing: Dealing
    corrupt: dict[Player, None]
    spoiled: dict[Player, list[Player]]
    """Corrupt dealer → honest holders whose boxes it spoils."""
    false: dict[Player, list[Player]]
    """Corrupt holder → whom it complains of, with or without a reason."""
    lost: list[Player]
    random: Random
    compared: bool = False
    """Whether what the rules count is counted anew at each event."""
    complaints: dict[Player, list[Player]] = field(init=False)

    def __post_init__(self) -> None:
        self.complaints = {holder: list(dealers) for holder, dealers in self.false.items() if dealers}
        for dealer, holders in self.spoiled.items():
            for holder in holders:
                self.complaints.setdefault(holder, []).append(dealer)

    def play(self) -> tuple[bool, dict[Player, Guilt]]:
        """Whether the upload ends well, and whom the rules exclude. As the lead does: they are asked at each event."""
        rules = Standing(self.dealing)
        gone: dict[Player, None] = {}
        events = [*((holder, True) for holder in self.complaints), *((holder, False) for holder in self.lost)]
        self.random.shuffle(events)
        for holder, complains in events:
            if not complains:
                gone[holder] = None
                rules.lose(holder)
            elif holder not in gone:
                rules.complain(holder, self.complaints[holder])
                if len(self.complaints[holder]) > self.dealing.most_corrupt:
                    gone[holder] = None
            if self.compared:
                self.compare(rules, gone)
            if rules.doomed and rules.excluded():
                return False, rules.excluded()
        return not rules.doomed, dict(rules.guilty)

    def compare(self, rules: Standing, gone: dict[Player, None]) -> None:
        """Who can still answer for whom, counted anew."""
        for dealer, holders in self.dealing.holders.items():
            heard = rules._complainers.get(dealer, {})
            left = sum(holder not in gone and holder not in heard for holder in holders)
            assert rules.left(dealer) == left
            assert (dealer in rules.doomed) == (left < self.dealing.threshold)

    def check(self, out: dict[Player, Guilt]) -> None:
        """Whoever is sure to be guilty is corrupt; the others go in pairs of which one is."""
        sure = [player for player, guilt in out.items() if guilt != "contradiction"]
        assert all(player in self.corrupt for player in sure)
        honest = [player for player in out if player not in self.corrupt]
        assert len(honest) <= len(out) - len(sure) - len(honest)


@given(st.data())
def test_no_honest_owner_is_guilty_and_no_more_are_excluded_than_corrupt_ones(data: st.DataObject) -> None:
    """Complete and k-regular; any boxes spoiled, any complaints, any losses, in any order."""
    count = data.draw(st.integers(6, 14))
    degree = data.draw(st.sampled_from([count - 1, 4]))
    players = owners(*range(count))
    corrupt = dict.fromkeys(owners(*data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=3))))
    if degree == count - 1:
        dealing = complete(players, data.draw(st.integers(2, count)), max(1, len(corrupt)))
    else:
        graph = masking_graph(count, degree, b"complaints")
        holders = {owner_name(each): dict.fromkeys(owners(*graph.neighbours(each))) for each in range(count)}
        worst = max(sum(holder in corrupt for holder in held) for held in holders.values())
        dealing = Dealing(holders, data.draw(st.integers(2, degree)), max(1, worst))

    def some(among: Iterable[Player]) -> list[Player]:
        drawn = data.draw(st.lists(st.sampled_from(sorted(among, key=index_of)), unique=True))
        return sorted(drawn, key=index_of)

    near = {each: [other for other in dealing.holders[each] if other != each] for each in players}
    attempt = Attempt(
        dealing,
        corrupt,
        {dealer: [holder for holder in some(near[dealer]) if holder not in corrupt] for dealer in corrupt},
        {holder: some(near[holder]) for holder in corrupt},
        some(players),
        Random(data.draw(st.integers(0, 99))),
        compared=True,
    )
    _, out = attempt.play()
    attempt.check(out)


# -- a whole run against six strategies ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """What a strategy knows: more than it would."""

    players: list[Player]
    honest: list[Player]
    coalition: list[Player]
    lost: list[Player]
    threshold: int
    most_corrupt: int


Lies = tuple[dict[Player, list[Player]], dict[Player, list[Player]]]
Strategy = Callable[[Moment], Lies]


def all_boxes(now: Moment) -> Lies:
    return dict.fromkeys(now.coalition, now.honest), {}


def one_dealer_at_a_time(now: Moment) -> Lies:
    return dict.fromkeys(now.coalition[:1], now.honest), {}


def the_least_that_spoils(now: Moment) -> Lies:
    """So few boxes that honest holders have to go with the dealer, wherever that can be."""
    enough = len(now.players) - len(now.lost) - now.threshold + 1
    there = [player for player in now.honest if player not in now.lost]
    return dict.fromkeys(now.coalition[:1], there[:enough]), {}


def framing(now: Moment) -> Lies:
    """All complain of as many honest dealers as R1 allows, the same ones: R2 needs one complaint more."""
    return {}, dict.fromkeys(now.coalition, now.honest[: now.most_corrupt])


def framing_by_one(now: Moment) -> Lies:
    return {}, dict.fromkeys(now.coalition[:1], now.honest[: now.most_corrupt])


def complaining_of_all(now: Moment) -> Lies:
    return {}, dict.fromkeys(now.coalition, now.honest)


@dataclass(frozen=True)
class Run:
    """What 40 attempts in a row came to."""

    failures: int
    honest_out: int
    corrupt_out: int
    too_few: bool
    """It ended with too few owners for another attempt."""


@cache
def run(strategy: Strategy, seed: int, count: int, n_c: int, threshold: int, lost: int) -> Run:
    random = Random(seed)
    corrupt = dict.fromkeys(owners(*random.sample(range(count), n_c)))
    out: dict[Player, Guilt] = {}
    failures = 0
    for _ in range(40):
        players = [player for player in owners(*range(count)) if player not in out]
        if len(players) - lost < threshold:
            break
        honest = [player for player in players if player not in corrupt]
        coalition = [player for player in players if player in corrupt]
        gone = random.sample(honest, lost)
        lies = strategy(Moment(players, honest, coalition, gone, threshold, max(1, n_c)))
        attempt = Attempt(complete(players, threshold, max(1, n_c)), corrupt, *lies, gone, random)
        good, found = attempt.play()
        attempt.check(found)
        out |= found
        failures += not good
    honest_out = sum(player not in corrupt for player in out)
    return Run(failures, honest_out, len(out) - honest_out, len(players) - lost < threshold)


STRATEGIES: list[Strategy] = [
    all_boxes,
    one_dealer_at_a_time,
    the_least_that_spoils,
    framing,
    framing_by_one,
    complaining_of_all,
]
HUNDRED, AT_THE_EDGE, TWELVE = (100, 10, 56, 30), (100, 10, 56, 44), (12, 1, 7, 3)


@pytest.mark.parametrize("size", [HUNDRED, AT_THE_EDGE, TWELVE])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_coalition_costs_an_honest_owner_at_most_for_each_of_its_own(
    strategy: Strategy, size: tuple[int, int, int, int]
) -> None:
    for seed in range(20):
        came = run(strategy, seed, *size)
        assert came.failures <= came.corrupt_out <= size[1]
        assert came.honest_out <= came.corrupt_out


def counted(strategy: Strategy, size: tuple[int, int, int, int]) -> set[tuple[int, int, int]]:
    runs = [run(strategy, seed, *size) for seed in range(20)]
    return {(came.failures, came.honest_out, came.corrupt_out) for came in runs}


def test_what_the_strategies_come_to() -> None:
    """Failures, honest and corrupt owners excluded, whatever the seed."""
    assert counted(all_boxes, HUNDRED) == {(1, 0, 10)}
    assert counted(one_dealer_at_a_time, HUNDRED) == {(10, 0, 10)}
    assert counted(the_least_that_spoils, HUNDRED) == {(10, 5, 10)}
    assert counted(framing, HUNDRED) == counted(framing_by_one, HUNDRED) == {(0, 0, 0)}
    assert counted(complaining_of_all, HUNDRED) == {(0, 0, 10)}
    assert counted(all_boxes, TWELVE) == {(1, 0, 1)}


def test_framing_where_as_many_holders_are_left_as_it_takes() -> None:
    """Any complaint dooms a dealer then: pairs go, as many honest as corrupt, and then there are too few owners."""
    assert max(counted(framing, AT_THE_EDGE)) == (1, 10, 10)
    assert all(failures == 1 and honest == corrupt for failures, honest, corrupt in counted(framing, AT_THE_EDGE))
    assert counted(framing_by_one, AT_THE_EDGE) == counted(the_least_that_spoils, AT_THE_EDGE) == {(1, 1, 1)}
    assert all(run(framing, seed, *AT_THE_EDGE).too_few for seed in range(20))


def test_pairs_that_share_a_complainer_would_cost_ninety_for_nine() -> None:
    """The control: were each doomed dealer excluded with any complainer, framing would empty the run."""

    def shared(rules: Standing) -> dict[Player, Guilt]:
        out = dict(rules.guilty)
        for dealer in rules.doomed:
            for complainer in list(rules._complainers.get(dealer, ()))[:1]:
                out[dealer] = out[complainer] = "contradiction"
        return out

    rules = Standing(complete(owners(*range(100)), 100, 10))
    for holder in range(91, 100):
        rules.complain(owner_name(holder), owners(*range((holder - 91) * 10, (holder - 90) * 10)))
    honest = [player for player in shared(rules) if index_of(player) < 90]
    assert (len(honest), len(shared(rules)) - len(honest)) == (90, 9)
    paired = rules.excluded()
    assert sum(index_of(player) < 90 for player in paired) == 9
