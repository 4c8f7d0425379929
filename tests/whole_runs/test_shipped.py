"""Every shipped scenario: it explains itself, it runs, and it comes to what it says it must."""

from __future__ import annotations

import pytest
from support.cli import SCENARIOS, invoke, strict_json
from support.runs import pieces_add_up

from asyncagg.scenario.reading.load import load

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))
OVER_SOCKETS = ("digits", "pairwise", "additive", "weighted", "drop-and-retry", "drop-in-upload", "exactly-threshold")
LONG = ("thousand-owners",)
PROMISED = {
    *("digits", "pairwise", "additive", "weighted", "drop-and-retry", "fifty-owners", "two-hundred-in-virtual-time"),
    *(f"drop-in-{phase}" for phase in ("advertise", "share", "upload", "certify", "unmask")),
    *("thirty-percent-dropout", "exactly-threshold", "below-threshold", "lying-lead", "reveal-to-model-owner"),
    *("hundred-owners", "digits-with-dropouts", "thousand-owners"),
    *("mobile-fleet", "satellite", "partition-of-a-node", "lead-crash", "diurnal"),
}


def run(name, engine, tmp_path, *settings):
    done = invoke("run", SCENARIOS / f"{name}.toml", "--engine", engine, "--json", "--out", tmp_path / "run", *settings)
    assert done.exit_code == 0, done.stderr
    result = strict_json(done.stdout)
    assert (result["status"], result["reason"]) == ("ok", None)
    return result


def test_all_that_are_promised_are_there():
    assert set(NAMES) >= PROMISED


@pytest.mark.parametrize("name", NAMES)
def test_it_explains_itself_and_expects_something(name):
    scenario = load(SCENARIOS / f"{name}.toml")
    assert scenario.name == name
    assert scenario.description
    assert (SCENARIOS / f"{name}.toml").read_text().startswith("# ")
    assert scenario.expect.completed is not None
    assert invoke("check", SCENARIOS / f"{name}.toml").exit_code == 0


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LONG])
def test_it_runs_in_virtual_time(name, tmp_path):
    rounds = run(name, "sim", tmp_path)["rounds"]
    assert rounds
    for each in rounds:
        pieces_add_up(each)


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_it_runs_within_a_minute(name, tmp_path):
    assert run(name, "sim", tmp_path)["seconds"]["wall"] < 60


@pytest.mark.parametrize("name", OVER_SOCKETS)
def test_it_runs_over_sockets(name, tmp_path):
    run(name, "tcp", tmp_path)


def test_drop_and_retry_says_why_it_tried_again(tmp_path):
    first, second, third = run("drop-and-retry", "sim", tmp_path)["rounds"]
    assert (first["attempts"], second["attempts"], third["attempts"]) == (1, 2, 1)
    assert "data-owner-3" in second["reason"]
    assert second["dropped"] == {"data-owner-3": "upload"}
    assert second["survivors"] == [f"data-owner-{index}" for index in (0, 1, 2, 4)]
    assert second["exact"]
    assert second["warnings"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("partition-of-a-node", "0 owners uploaded, at least 6 are needed"), ("lead-crash", "compute-node-0: ")],
)
def test_what_a_compute_node_loses_is_tried_again(name, reason, tmp_path):
    first, second, third = run(name, "sim", tmp_path)["rounds"]
    assert (first["attempts"], second["attempts"], third["attempts"]) == (1, 2, 1)
    assert second["reason"].startswith(reason)


def test_stragglers_lose_the_round_and_not_the_run(tmp_path):
    rounds = run("mobile-fleet", "sim", tmp_path)["rounds"]
    late = [{*each["dropped"]} for each in rounds]
    assert all(late)
    assert any({*each["survivors"]} & late[0] for each in rounds[1:])


def test_a_day_has_in_each_round_the_owners_that_stay_for_it(tmp_path):
    there = {f"data-owner-{owner}": [(0, 10**9)] for owner in range(40)}
    rows = [line.split(",") for line in (SCENARIOS / "diurnal.csv").read_text().splitlines() if line[0] == "d"]
    there |= {owner: [(int(start), int(end)) for name, start, end in rows if name == owner] for owner, _, _ in rows}
    began, sizes = 0.0, []
    for each in run("diurnal", "sim", tmp_path)["rounds"]:
        ended = began + each["seconds"]["total"]
        stayed = {owner for owner, spans in there.items() if any(a <= began and ended <= b for a, b in spans)}
        assert {*each["survivors"]} == stayed
        began = ended
        sizes.append(len(stayed))
    assert (sizes[0], min(sizes), sizes[-1]) == (40, 24, 40)


@pytest.mark.parametrize("phase", ["advertise", "share", "upload"])
def test_who_drops_before_the_upload_is_not_in_the_sum(phase, tmp_path):
    for each in run(f"drop-in-{phase}", "sim", tmp_path)["rounds"]:
        assert sorted(each["dropped"].values()) == [phase, phase]
        assert len(each["survivors"]) == 8
        assert each["silent_after"] == {}


@pytest.mark.parametrize("phase", ["certify", "unmask"])
def test_who_drops_after_the_upload_is_in_the_sum(phase, tmp_path):
    for each in run(f"drop-in-{phase}", "sim", tmp_path)["rounds"]:
        assert each["dropped"] == {}
        assert len(each["survivors"]) == 10
        assert sorted(each["silent_after"].values()) == [phase, phase]


def test_one_below_the_threshold_ends_in_a_named_failure(tmp_path):
    (only,) = run("below-threshold", "sim", tmp_path)["rounds"]
    assert only["status"] == "skipped"
    assert only["survivors"] == []
    assert "5" in only["reason"]
    assert "6" in only["reason"]


def test_dropouts_do_not_change_what_is_learnt(tmp_path):
    masked = run("digits-with-dropouts", "sim", tmp_path / "masked", "--set", "rounds=3", "--set", "expect={}")
    plain_settings = ("--set", "aggregation.protocol=plain", "--set", "rounds=3", "--set", "expect={}")
    plain = run("digits-with-dropouts", "sim", tmp_path / "plain", *plain_settings)
    keys = ("survivors", "metrics", "total_weight")
    assert [[each[key] for key in keys] for each in masked["rounds"]] == [
        [each[key] for key in keys] for each in plain["rounds"]
    ]
