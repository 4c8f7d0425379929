"""Down to exactly t, what `dropped` and `silent_after` mean in each phase, and the work that masks take."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from support.attack_driver import changed, owners, play, scenario

import asyncagg
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Effect
from asyncagg.protocols.names import owner_name

REVEALS = ("compute-nodes", "model-owner")


# -- the edge --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reveal", REVEALS)
@pytest.mark.parametrize(
    ("threat", "count", "t"), [("curious", 10, 6), ("curious", 3, 2), ("lying", 11, 7), ("lying", 4, 3)]
)
def test_exactly_t_answers_open_the_sum_and_one_fewer_do_not(threat: str, count: int, t: int, reveal: str) -> None:
    """With n_c = ⌈0.1 n⌉: curious t = ⌊n/2⌋ + 1, lying t = ⌊(n + n_c)/2⌋ + 1. Everyone uploads."""
    at_t = scenario(count, "secagg", {"unmask": range(t, count)}, threat=threat, reveal=reveal)
    played = play(at_t)
    assert played.round.exact
    assert len(played.round.survivors) == count
    assert played.round.silent_after == dict.fromkeys(owners(*range(t, count)), "unmask")
    below = play(scenario(count, "secagg", {"unmask": range(t - 1, count)}, threat=threat, reveal=reveal))
    assert f"{t - 1} holders of the secrets of data-owner-0 answered, {t} are needed" in below.reason
    assert below.means == {}
    assert below.round.dropped == {}


@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_exactly_t_survivors_will_do_and_one_fewer_will_not(threat: str) -> None:
    t = 6 if threat == "curious" else 7
    played = play(scenario(11, "secagg", {"upload": range(t, 11)}, threat=threat))
    assert played.round.exact
    assert played.round.dropped == dict.fromkeys(owners(*range(t, 11)), "upload")
    below = play(scenario(11, "secagg", {"upload": range(t - 1, 11)}, threat=threat))
    assert f"{t - 1} owners uploaded, at least {t} are needed" in below.reason
    assert below.round.dropped == dict.fromkeys(owners(*range(t - 1, 11)), "upload")


def test_exactly_a_quorum_of_signatures_will_do() -> None:
    played = play(scenario(11, "secagg", {"certify": range(7, 11)}, threat="lying"))
    assert played.round.exact
    below = play(scenario(11, "secagg", {"certify": range(6, 11)}, threat="lying"))
    assert "6 members signed this set of survivors, 7 are needed" in below.reason
    assert below.means == {}


def test_a_roster_below_its_floor_is_not_formed() -> None:
    assert play(scenario(10, "secagg", {"advertise": [0, 1, 2]})).round.exact
    below = play(scenario(10, "secagg", {"advertise": [0, 1, 2, 3]}))
    assert "6 owners advertised, at least 7 are needed" in below.reason
    assert below.round.dropped == dict.fromkeys(owners(0, 1, 2, 3), "advertise")


def test_a_k_regular_round_fails_beyond_the_dropout_it_was_made_for() -> None:
    values: dict[str, Any] = {"corrupt": 0.05, "dropout": 0.05}
    assert play(scenario(60, "secagg+", {"upload": [3, 30, 55]}, **values)).round.exact
    below = play(scenario(60, "secagg+", {"upload": [3, 30, 55, 56]}, **values))
    assert "56 owners uploaded, at least 57 are needed" in below.reason


# -- when somebody falls silent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
@pytest.mark.parametrize("phase", ["publish", "advertise", "share", "upload", "certify", "unmask"])
def test_who_is_in_the_sum(phase: str, protocol: str, threat: str) -> None:
    played = play(scenario(8, protocol, {phase: [2, 5]}, threat=threat))
    each, silent = played.round, owners(2, 5)
    assert each.exact
    if phase in ("certify", "unmask"):
        assert each.survivors == owners(*range(8))
        assert each.dropped == {}
        assert each.silent_after == dict.fromkeys(silent, phase if threat == "lying" else "unmask")
    else:
        assert each.survivors == owners(0, 1, 3, 4, 6, 7)
        assert each.dropped == dict.fromkeys(silent, phase)
        assert each.silent_after == {}


def test_rosters_that_shrink_to_the_complete_graph_have_more_neighbours() -> None:
    """51 owners have 16 neighbours each; the 48 that are left mask with all 47 others."""
    played = play(scenario(51, "secagg+", {"advertise": [0, 1, 2]}, corrupt=0.0))
    assert played.round.exact
    assert played.round.mask_expansions["data-owner"] == 48 * 48


def test_a_threshold_by_hand_that_is_out_of_reach_later_fails_by_name() -> None:
    values = scenario(20, "secagg", {"advertise": range(5)}, threat="lying", threshold=14)
    played = play(values)
    assert "threshold 14 is out of reach for 15 of 20 owners" in played.reason
    assert played.round.dropped == dict.fromkeys(owners(*range(5)), "advertise")


# -- the work --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reveal", REVEALS)
@pytest.mark.parametrize("lost", [0, 1, 5])
def test_expansions_on_the_complete_graph(lost: int, reveal: str) -> None:
    """S + D·S by who removes the masks; n by each owner."""
    n, s = 20, 20 - lost
    each = play(scenario(n, "secagg", {"upload": range(lost)}, reveal=reveal)).round
    assert each.exact
    by = "compute-node" if reveal == "compute-nodes" else "model-owner"
    assert each.mask_expansions == {"data-owner": n * n, "compute-node": 0, "model-owner": 0, by: s + lost * s}


@pytest.mark.parametrize(
    ("threat", "lost"), [("curious", ()), ("curious", (3, 40, 77, 101)), ("lying", (3, 40, 77, 101))]
)
def test_work_on_a_k_regular_graph(lost: tuple[int, ...], threat: str) -> None:
    """S + the dropped owners' neighbours that are alive; k + 1 masks and 2k agreements by each owner."""
    n, k = 104, {"curious": 12, "lying": 18}[threat]
    values = scenario(n, "secagg+", {"upload": lost}, threat=threat, corrupt=0.05, dropout=0.05)
    played = play(values)
    each, session = played.round, next(iter(played.kept.values())).session
    assert each.exact
    assert session.parameters.neighbours == k
    dead = owners(*lost)
    alive = sum(near not in dead for owner in dead for near in session.neighbours(owner))
    assert each.mask_expansions["data-owner"] == n * (k + 1)
    assert each.mask_expansions["compute-node"] == n - len(lost) + alive
    assert each.key_agreements == 2 * k * n + alive
    for owner in owners(*range(n)):
        usage = next(player.usage.of(0) for player in played.local_players.owners if player.me == owner)
        assert usage.key_agreements == 2 * k
        assert usage.expanded == (k + 1) * played.local_players.terms.plan.length


# -- a whole training run --------------------------------------------------------------------------------------------


def training(protocol: str, rounds: int) -> dict[str, Any]:
    return {
        "name": "training",
        "engine": "sim",
        "seed": 7,
        "rounds": rounds,
        "owners": {"count": 10},
        "aggregation": {"protocol": protocol, "compute_nodes": 3},
        "workload": {"kind": "digits"},
        "faults": [{"kind": "drop", "players": {"fraction": 0.2}, "phase": "upload"}],
    }


def test_digits_with_secagg_plus_is_plain_bit_for_bit() -> None:
    """30 rounds, a fifth of the owners dropping in each: the same survivors, means and model as in clear."""
    rounds = 30
    masked = asyncagg.run(training("secagg+", rounds))
    clear = asyncagg.run(training("plain", rounds))
    assert masked["status"] == clear["status"] == "ok"
    for index, (one, other) in enumerate(zip(masked["rounds"], clear["rounds"], strict=True)):
        assert one["exact"]
        assert len(one["survivors"]) == 8
        assert one["survivors"] == other["survivors"]
        assert one["metrics"] == other["metrics"]
        assert masked.means[index].tobytes() == clear.means[index].tobytes()
    assert all(np.array_equal(masked.model[name], clear.model[name]) for name in clear.model)
    assert masked["rounds"][-1]["metrics"]["accuracy"] > 0.9


# -- retries ---------------------------------------------------------------------------------------------------------


def test_a_round_that_a_false_dealer_spoils_is_tried_again() -> None:
    """One owner commits to another secret than it shares, in the first attempt alone."""
    false = changed(m.SealedShares, commitment=bytes(32))

    def once(context: Context, effect: Effect) -> Iterable[Effect]:
        return false(context, effect) if context.label.attempt == 1 else (effect,)

    played = play(scenario(8, "secagg", on_failure="retry", retries=1), {owner_name(2): once})
    each = played.round
    assert each.attempts == 2
    assert each.exact
    assert "the shares of data-owner-2 make another secret than it committed to" in (each.reason or "")


@pytest.mark.parametrize(("policy", "status"), [("skip", "skipped"), ("abort", "failed")])
def test_a_round_without_a_sum_is_skipped_or_ends_the_run(policy: str, status: str) -> None:
    values = scenario(5, "secagg", {"upload": [1, 2, 3]}, on_failure=policy, rounds=2)
    values["faults"][0]["rounds"] = [0]
    played = play(values)
    assert played.round.status == status
    assert played.round.attempts == 1
    assert "2 owners uploaded, at least 3 are needed" in (played.round.reason or "")
    assert [each.status for each in played.result.rounds[1:]] == (["ok"] if policy == "skip" else [])
