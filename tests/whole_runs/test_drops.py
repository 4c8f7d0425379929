"""Owners that fall silent: in every phase, chosen in every way, on both engines; retries; nodes that fall silent."""

import pytest
from support.runs import run
from support.tap import Tap

from asyncagg.net.frames import Frame

SHORT = {"deadline": "300 ms"}
PHASES = dict.fromkeys(("publish", "advertise", "share", "upload", "certify", "unmask"), SHORT)


def drop(phase: str, players: object, **more: object) -> dict[str, object]:
    return {"kind": "drop", "phase": phase, "players": players, **more}


@pytest.mark.parametrize("protocol", ["plain", "additive", "secagg", "secagg+"])
@pytest.mark.parametrize("phase", ["publish", "advertise", "upload"])
def test_the_survivors_mean_is_right_without_a_retry(protocol: str, phase: str) -> None:
    result = run(protocol, 7, rounds=2, faults=[drop(phase, ["data-owner-1", "data-owner-4"], rounds=[1])])
    assert result["status"] == "ok", result["reason"]
    whole, less = result["rounds"]
    assert len(whole["survivors"]) == 7
    assert less["survivors"] == [f"data-owner-{index}" for index in (0, 2, 3, 5, 6)]
    assert (less["attempts"], less["exact"], less["reason"]) == (1, True, None)
    told = phase if phase != "advertise" or protocol.startswith("secagg") else "upload"
    assert less["dropped"] == {"data-owner-1": told, "data-owner-4": told}


@pytest.mark.parametrize("phase", ["publish", "advertise"])
def test_pairwise_goes_on_without_who_left_before_the_roster(phase: str) -> None:
    result = run("pairwise", 4, faults=[drop(phase, ["data-owner-1"])])
    (each,) = result["rounds"]
    assert (each["status"], each["attempts"], each["exact"]) == ("ok", 1, True)
    assert each["dropped"] == {"data-owner-1": phase}


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_pairwise_retries_without_who_vanished_and_says_so(engine: str) -> None:
    result = run("pairwise", 4, engine, phases=PHASES, faults=[drop("upload", ["data-owner-2"])], seed=3)
    (each,) = result["rounds"]
    assert result["status"] == "ok"
    assert (each["attempts"], each["exact"]) == (2, True)
    assert each["survivors"] == ["data-owner-0", "data-owner-1", "data-owner-3"]
    assert each["dropped"] == {"data-owner-2": "upload"}
    assert "pairwise cannot recover data-owner-2" in each["reason"]
    keys = {(r.sender, r.attempt) for r in result.trace.records if r.kind == "advertise"}
    assert ("data-owner-0", 1) in keys
    assert ("data-owner-0", 2) in keys


@pytest.mark.parametrize(
    ("players", "fewest", "most"),
    [
        ({"count": 3}, 3, 3),
        ({"fraction": 0.3}, 3, 3),
        ({"probability": 0.5}, 1, 8),
        (["data-owner-0"], 1, 1),
        ({"count": 0}, 0, 0),
    ],
)
def test_who_drops_is_chosen_by_the_seed(players: object, fewest: int, most: int) -> None:
    first, again = (run("plain", 10, faults=[drop("upload", players)], seed=11) for _ in range(2))
    (each,) = first["rounds"]
    assert fewest <= len(each["dropped"]) <= most
    assert each["dropped"] == again["rounds"][0]["dropped"]
    assert set(each["dropped"]) | set(each["survivors"]) == {f"data-owner-{index}" for index in range(10)}
    assert each["exact"] is True


@pytest.mark.parametrize("protocol", ["plain", "secagg"])
def test_tcp_and_sim_drop_the_same_owners_and_reveal_the_same_mean(protocol: str) -> None:
    faults = [drop("publish", {"count": 1}), drop("upload", {"count": 1})]
    sim, tcp = (run(protocol, 6, engine, faults=faults, phases=PHASES, seed=4) for engine in ("sim", "tcp"))
    assert sim["rounds"][0]["dropped"] == tcp["rounds"][0]["dropped"]
    assert len(sim["rounds"][0]["survivors"]) >= 4
    assert sim.means[0].tobytes() == tcp.means[0].tobytes()


@pytest.mark.parametrize(("policy", "statuses"), [("skip", ["skipped", "ok"]), ("abort", ["failed"])])
def test_what_a_failed_round_leads_to(policy: str, statuses: list[str]) -> None:
    faults = [drop("publish", {"count": 4}, rounds=[0])]
    result = run("plain", 4, rounds=2, faults=faults, aggregation={"on_failure": policy})
    assert [each["status"] for each in result["rounds"]] == statuses
    assert result["rounds"][0]["attempts"] == 1
    assert "the minimum cohort is 2" in result["rounds"][0]["reason"]
    assert list(result.means) == ([1] if policy == "skip" else [])


def test_a_round_that_never_comes_off_fails_with_its_reason_after_all_retries() -> None:
    result = run("plain", 4, faults=[drop("publish", {"count": 4})], aggregation={"retries": 2})
    (each,) = result["rounds"]
    assert (result["status"], each["status"], each["attempts"]) == ("failed", "failed", 3)
    assert "the minimum cohort is 2" in result["reason"]


# -- permits ---------------------------------------------------------------------------------------------------------

WINDOW = {"memory_budget": "200 B", "permit_limit": "50 ms"}
"""Room for two slices of 20 coordinates and a count."""


def quiet(*owners: str, nodes: tuple[str, ...] | None = None) -> Tap:
    """These owners' uploads never leave (for these nodes)."""

    def meddle(frame: Frame) -> tuple[Frame, ...]:
        upload = frame.kind in ("masked-slice", "clear-slice", "share-slice", "sealed-seed") and frame.sender in owners
        return () if upload and (nodes is None or frame.receiver in nodes) else (frame,)

    return Tap(meddle)


@pytest.mark.parametrize("protocol", ["plain", "secagg", "secagg+"])
@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_two_silent_owners_in_a_small_window_lose_nobody_elses_round(
    protocol: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet("data-owner-0", "data-owner-1").install(monkeypatch)
    result = run(protocol, 8, engine, aggregation=WINDOW)
    (each,) = result["rounds"]
    assert (each["status"], each["attempts"], each["exact"]) == ("ok", 1, True)
    assert each["dropped"] == {"data-owner-0": "upload", "data-owner-1": "upload"}
    assert each["seconds"]["total"] < 10
    details = [record.detail for record in result.trace.records if record.event == "drop"]
    assert details == ["its permit ran out"] * 2


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "secagg"])
def test_no_node_holds_more_than_a_window(protocol: str) -> None:
    """Counted on the channels: slices on their way to a node or held there, less those it was told to add."""
    result = run(protocol, 12, aggregation=WINDOW)
    assert result["rounds"][0]["exact"] is True
    held = most = 0
    for record in result.trace.records:
        if record.receiver == "compute-node-1":
            held += (record.kind in ("masked-slice", "clear-slice")) - (record.kind == "commit")
            most = max(most, held)
    assert 1 <= most <= 2


def test_a_permit_that_runs_out_after_its_phase_ends_no_other() -> None:
    """The permits of uploads that went well must not cut the unmask phase short."""
    run_with = {"aggregation": {**WINDOW, "permit_limit": "4 s"}, "network": {"latency": "1 s"}}
    result = run("secagg", 5, **run_with)
    (each,) = result["rounds"]
    assert (each["status"], each["silent_after"], each["exact"]) == ("ok", {}, True)
    assert not [record for record in result.trace.records if record.event == "drop"]


@pytest.mark.parametrize("protocol", ["plain", "additive", "secagg", "secagg+"])
@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_an_owner_that_reaches_one_node_and_not_another_counts_nowhere(
    protocol: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet("data-owner-2", nodes=("compute-node-1",)).install(monkeypatch)
    result = run(protocol, 4, engine, phases={"upload": SHORT})
    (each,) = result["rounds"]
    assert (each["status"], each["exact"]) == ("ok", True)
    assert each["survivors"] == ["data-owner-0", "data-owner-1", "data-owner-3"]
    assert each["dropped"] == {"data-owner-2": "upload"}


# -- nodes and the lead ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg", "secagg+"])
@pytest.mark.parametrize("kind", ["held", "sum-slice", "sum-share", "report", "commit", "survivors", "begin"])
def test_silence_of_a_node_or_the_lead_is_a_named_failure_in_time(
    protocol: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Tap(lambda frame: () if frame.kind == kind else (frame,)).install(monkeypatch)
    result = run(protocol, 4, aggregation={"on_failure": "abort"})
    (each,) = result["rounds"]
    if any(frame.kind == kind for frame in tap.frames):
        assert result["status"] == "failed"
        assert each["reason"]
        assert not result.means
    assert each["seconds"]["total"] <= 7 * 30
    assert result["seconds"]["virtual"] <= 7 * 30 + 5


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg", "secagg+"])
@pytest.mark.parametrize("node", ["compute-node-0", "compute-node-1"])
@pytest.mark.parametrize("after", [1, 3, 9])
def test_a_node_that_dies_is_a_named_failure_in_time(
    protocol: str, node: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections break when it has received so many messages."""
    tap = Tap()

    def meddle(frame: Frame) -> tuple[Frame, ...]:
        if len([each for each in tap.frames if each.receiver == node]) == after:
            for (local, _), channel in tap.channels.items():
                if local == node:
                    channel.close("died")
            tap.channels.clear()
        return () if node in (frame.sender, frame.receiver) and not tap.channels else (frame,)

    tap.meddle = meddle
    tap.install(monkeypatch)
    result = run(protocol, 4, aggregation={"retries": 1})
    (each,) = result["rounds"]
    assert (result["status"], each["attempts"]) == ("failed", 2)
    assert node in each["reason"]
    assert result["seconds"]["virtual"] <= 2 * 7 * 30


@pytest.mark.parametrize("protocol", ["pairwise", "secagg"])
def test_who_came_back_for_the_attempt_that_succeeded_was_not_dropped(protocol: str) -> None:
    faults = [{"kind": "crash", "players": ["data-owner-1"], "phase": "upload", "lasts": "200 ms"}]
    result = run(protocol, 4, aggregation={"minimum_cohort": 4}, faults=faults)
    (each,) = result["rounds"]
    assert (each["status"], each["attempts"]) == ("ok", 2)
    assert "data-owner-1" in each["survivors"]
    assert each["dropped"] == {}
