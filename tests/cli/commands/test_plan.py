"""`asyncagg plan`: the published rows and figures, refusals in words."""

from __future__ import annotations

import pytest
from support.cli import SMALL, invoke, lines, scenario_file, strict_json
from support.known_answers import vectors

from asyncagg.protocols.parameters.choose import choose
from asyncagg.protocols.parameters.population import Infeasible, Population, exact

KEYS = ["neighbours", "threshold", "privacy_bits", "correctness_bits", "ring_bits", "owner_bytes", "expansion"]


def plan(*arguments: object) -> dict:
    done = invoke("plan", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return strict_json(done.stdout)


def question(owners, corrupt, dropout, threat="curious"):
    return "--owners", owners, "--corrupt", corrupt, "--dropout", dropout, "--threat", threat


def test_json_has_the_keys_of_the_contract():
    told = plan(*question(100, "0.1", "0.3"), "--dimension", 1000)
    assert list(told)[: len(KEYS)] == KEYS
    assert told["ring_bits"] == 23
    assert {"sent", "received"} <= told["owner_bytes"].keys()
    assert told["privacy_bits"] >= 40
    assert told["correctness_bits"] >= 20


@pytest.mark.parametrize(
    ("owners", "corrupt", "dropout", "threat", "row"),
    [
        (100, ".05", ".05", "curious", (12, 6)),
        (100, ".05", ".05", "lying", (16, 11)),
        (100, ".1", ".3", "curious", (34, 11)),
        (100, ".1", ".3", "lying", (72, 42)),
        (1000, "0.05", "0.05", "lying", (52, 37)),
        (10_000, "0.1", "0.3", "lying", (778, 465)),
        (12, "0", "0.3", "curious", (4, 2)),
    ],
)
def test_rows_of_the_search(owners, corrupt, dropout, threat, row):
    told = plan(*question(owners, corrupt, dropout, threat))
    assert (told["neighbours"], told["threshold"]) == row


SMALL_ROWS = [
    case for case in vectors("secagg_plus_parameters") if case.values[0]["success"] and case.values[0]["owners"] <= 50
]


@pytest.mark.parametrize("row", SMALL_ROWS)
def test_up_to_fifty_owners_the_plan_has_the_row_of_the_search_and_what_a_run_does(row):
    asked = question(row["owners"], row["corrupt"], row["dropout"], row["threat"])
    told = plan(*asked)
    assert (told["neighbours"], told["threshold"]) == (row["neighbours"], row["threshold"])
    said = invoke("plan", *asked).stdout.splitlines()
    assert any(line.startswith(f"neighbours: k = {row['neighbours']}, ") for line in said)
    if told["run"] is None:
        assert said[1].startswith("A run would be refused: ")
        with pytest.raises(Infeasible):
            choose("secagg", population(row))
        return
    run = choose("secagg", population(row))
    assert told["run"] == plan(*asked, "--protocol", "secagg")["run"]
    assert (told["run"]["neighbours"], told["run"]["threshold"]) == (run.neighbours, run.threshold)
    assert said[1].startswith("A run with up to 50 owners uses the complete graph: ")
    assert f"neighbours: k = {run.neighbours}, an owner masks with every other owner" in said


def population(row):
    return Population(row["owners"], exact(row["corrupt"]), exact(row["dropout"]), row["threat"])


def test_a_plan_is_what_check_says_of_a_run(tmp_path):
    path = scenario_file(tmp_path, SMALL.replace("count = 4", "count = 10"))
    checked = strict_json(invoke("check", path, "--json").stdout)["parameters"]
    told = plan(*question(10, "0.1", "0.3"))["run"]
    for key in ("neighbours", "threshold", "privacy_bits", "correctness_bits"):
        assert told[key] == checked[key]


@pytest.mark.parametrize("point", vectors("communication_expansion"))
def test_expansion_is_the_published_one(point):
    size = ("--dimension", point["dimension"], "--bits", point["bits"])
    told = plan(*question(point["owners"], "0.1", "0.3"), *size, "--protocol", "secagg")
    assert round(told["expansion"], 4) == point["expansion"]


@pytest.mark.parametrize(
    "asked",
    [
        question(1000, "0.5", "0.5"),
        question(1000, "0.33", "0.33", "lying"),
        question(1, "0.1", "0.1"),
    ],
)
def test_the_infeasible_is_refused_in_words(asked):
    done = invoke("plan", *asked, "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = lines(done)
    assert line.startswith("asyncagg plan: ")


@pytest.mark.parametrize(
    "asked",
    [
        ("--owners", "many"),
        (),
        ("--owners", 10, "--corrupt", "some"),
        ("--owners", 10, "--corrupt", "nan"),
        ("--owners", 10, "--threat", "nice"),
        ("--owners", 10, "--protocol", "secag"),
        question(0, "0.1", "0.1"),
        question(-1, "0.1", "0.1"),
        question(10, "0.1", "1"),
        question(10, "1", "0.1"),
        question(10, "-0.1", "0.1"),
        question(1_000_001, "0.1", "0.1"),
        ("--owners", 10, "--bits", 0),
        ("--owners", 10, "--bits", 1),
        ("--owners", 10, "--bits", 33),
        ("--owners", 10, "--compute-nodes", 1001),
        ("--owners", 10, "--compute-nodes", 1, "--protocol", "additive"),
        ("--owners", 10, "--dimension", 99999999999999999999),
        ("--owners", 10, "--dimension", 0),
        ("--owners", 10, "--dimension", 2),
        ("--owners", 10, "--bits", 63),
        ("--owners", 10, "--max-weight", 0),
        ("--owners", 10, "--compute-nodes", 0),
        ("--owners", 10, "--parameter-bytes", -1),
    ],
)
def test_bad_usage_is_one_line_with_status_2(asked):
    done = invoke("plan", *asked)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = lines(done)
    assert line.startswith("asyncagg plan: ")
    assert line.endswith("(asyncagg plan --help)")


def test_small_populations_are_told_what_a_run_would_do():
    said = invoke("plan", *question(30, "0.1", "0.3")).stdout
    assert "A run with up to 50 owners uses the complete graph: 29 neighbours, threshold 16." in said
    assert plan(*question(30, "0.1", "0.3"))["notes"]


def test_protocols_without_shares_have_neither_threshold_nor_neighbours():
    for protocol in ("plain", "pairwise", "additive"):
        told = plan(*question(10, "0.1", "0.3"), "--protocol", protocol)
        assert told["threshold"] is told["neighbours"] is told["privacy_bits"] is None
        assert told["owner_bytes"]["sent"] > 2_000_000


def test_text_has_bytes_by_phase_and_the_work_with_dropouts():
    said = invoke("plan", *question(100, "0.1", "0.3")).stdout
    assert all(f"\n{phase} " in said for phase in ("publish", "advertise", "share", "upload", "unmask", "together"))
    assert "when 30 fall silent at upload:" in said
    with_dropouts = plan(*question(100, "0.1", "0.3"))["with_dropouts"]
    assert with_dropouts["dropped"] == 30
    assert with_dropouts["mask_expansions"]["compute_nodes"] > 100
