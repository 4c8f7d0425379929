"""`asyncagg check` and `schema`: what is said of a scenario before it runs."""

from __future__ import annotations

import json
import tomllib

import pytest
from support.cli import SCENARIOS, SMALL, invoke, lines, scenario_file, strict_json

from asyncagg.scenario.reading.load import load


def test_the_text_is_the_scenario_itself_with_every_default(tmp_path):
    path = scenario_file(tmp_path)
    done = invoke("check", path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert tomllib.loads(done.stdout) == load(path).normalised()
    full = scenario_file(tmp_path, done.stdout)
    assert load(full).normalised() == load(full).normalised()


def test_what_follows_is_said_in_words(tmp_path):
    said = invoke("check", scenario_file(tmp_path)).stdout
    for words in (
        "# threshold: t = 3, of 4 shares so many open a secret",
        "# neighbours: k = 3, an owner masks with every other owner",
        "# ring: 18 bits",
        "# Who can open an input",
        "# - Opening an input takes the compute nodes (each for its slice, all 3 for the whole) and 3 of the 4 owners",
    ):
        assert words in said
    assert all(phase in said for phase in ("publish", "advertise", "share", "upload", "unmask"))


def test_json(tmp_path):
    path = scenario_file(tmp_path)
    told = strict_json(invoke("check", path, "--json").stdout)
    assert told["scenario"] == load(path).normalised()
    assert told["parameters"]["threshold"] == 3
    phases = told["owner_bytes"]["phases"]
    assert told["owner_bytes"]["sent"] == sum(flow["sent"] for flow in phases.values())
    assert told["key_agreements"]["each_owner"] == 6
    assert told["mask_expansions"] == {"each_owner": 4, "compute_nodes": 4, "model_owner": 0}
    assert told["opens_an_input"]


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg", "secagg+"])
def test_the_result_says_of_a_run_what_check_said_before(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    text = SMALL.replace("dimension = 20", "dimension = 3000") + f'[aggregation]\nprotocol = "{protocol}"\n'
    path = scenario_file(tmp_path, text)
    told = strict_json(invoke("check", path, "--json").stdout)
    result = strict_json(invoke("run", path, "--json").stdout)
    assert told["parameters"] == result["parameters"]
    assert told["opens_an_input"] == result["privacy"]["opens_an_input"]
    for each in result["rounds"]:
        for way in ("sent", "received"):
            counted = each["bytes"]["data-owner"][way] / 4
            assert counted == pytest.approx(told["owner_bytes"][way], rel=0.1)
        assert each["work"]["mask_expansions"]["data-owner"] == 4 * told["mask_expansions"]["each_owner"]
        assert each["work"]["mask_expansions"]["compute-node"] == told["mask_expansions"]["compute_nodes"]


def test_the_smallest_sum_of_pairwise_is_what_its_owners_accept(tmp_path):
    text = SMALL + '[aggregation]\nprotocol = "pairwise"\nminimum_cohort = 2\nthreat = "{}"\n'
    smallest = {}
    for threat in ("curious", "lying"):
        path = scenario_file(tmp_path, text.format(threat))
        smallest[threat] = strict_json(invoke("check", path, "--json").stdout)["smallest_cohort"]
    assert smallest == {"curious": 2, "lying": 3}


def test_settings(tmp_path):
    told = strict_json(invoke("check", scenario_file(tmp_path), "--json", "--set", "owners.count=6").stdout)
    assert told["scenario"]["owners"]["count"] == 6


def test_mistakes_are_lines_with_status_2(tmp_path):
    done = invoke("check", scenario_file(tmp_path, SMALL + '[network]\nlatency = "4 kg"\n'))
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = lines(done)
    assert "small.toml:12: network.latency: " in line


def test_the_schema_is_json_and_names_every_table():
    done = invoke("schema")
    schema = json.loads(done.stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"name", "owners", "aggregation", "workload", "faults", "expect"} <= set(schema["properties"])


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("check", SCENARIOS / "digits.toml").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_fewest_survivors_are_no_fewer_than_the_minimum_cohort(tmp_path):
    path = scenario_file(tmp_path, SMALL.replace("count = 4", "count = 3") + "[aggregation]\nminimum_cohort = 3\n")
    said = invoke("check", path).stdout
    assert "# survivors: a round with fewer than 3 fails by name and reveals nothing\n" in said
    assert strict_json(invoke("check", path, "--json").stdout)["smallest_cohort"] == 3


def test_faults_that_never_strike_are_noted(tmp_path):
    fault = '[[faults]]\nkind = "drop"\nplayers = ["data-owner-0"]\nphase = "upload"\nrounds = [7]\n'
    path = scenario_file(tmp_path, f"{SMALL}\n{fault}")
    note = "faults.0.rounds: the fault never strikes (rounds are 0 to 1)"
    assert note in strict_json(invoke("check", path, "--json").stdout)["notes"]
    assert f"# - {note}" in invoke("check", path).stdout.splitlines()
