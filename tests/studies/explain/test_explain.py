"""`asyncagg explain`: every printed number adds up, in every protocol, whoever drops; and what a coalition has."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from support.cli import invoke
from support.explained import add_up, told

from asyncagg.protocols.names import PHASES, Phase
from asyncagg.protocols.registry import find
from asyncagg.studies.explain.account import Account
from asyncagg.studies.explain.play import ExplainError, play
from asyncagg.studies.explain.sections import sections

PROTOCOLS = ["plain", "pairwise", "additive", "secagg", "secagg+"]
CASES = [
    (name, drop)
    for name in PROTOCOLS
    for drop in (None, *(phase for phase in find(name).phases if phase not in ("certify", "reveal")))
]


@pytest.mark.parametrize(("protocol", "drop"), CASES)
def test_the_printed_numbers_add_up(protocol: str, drop: Phase | None) -> None:
    words = ["explain", protocol, *(["--drop", drop] if drop else [])]
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    assert len(told(done.output)) >= 6
    add_up(done.output)


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("drop", ["upload", "unmask"])
def test_what_a_dropped_owner_leaves_behind_is_taken_off(drop: str, threat: str) -> None:
    text = invoke("explain", "secagg", "--drop", drop, "--threat", threat).output
    add_up(text)
    means = [line for line in text.splitlines() if "the mean of" in line]
    owners = 3 if drop == "upload" else 4
    assert len(means) == 2
    assert all(f"the mean of {owners} owners" in line for line in means)
    if drop == "upload":
        assert text.count("the compute nodes take it off") == 3
        assert text.count("(mask of data-owner-0 with data-owner-3)") == 2


def test_a_changed_number_is_noticed() -> None:
    """The check of these tests can fail."""
    text = invoke("explain", "secagg", "--drop", "upload").output
    at = text.index(" mod 256 (sent by data-owner-0)")
    last = int(text[:at].rsplit(" ", 1)[1])
    changed = f"{text[:at].rsplit(' ', 1)[0]} {(last + 1) % 256}{text[at:]}"
    with pytest.raises(AssertionError):
        add_up(changed)


def test_pairwise_says_why_there_is_no_sum() -> None:
    text = invoke("explain", "pairwise", "--drop", "upload").output
    assert "no sum: pairwise cannot recover data-owner-3" in text
    assert "nobody takes it off" in text


@pytest.mark.parametrize(
    ("protocol", "coalition", "opened"),
    [
        ("plain", "compute-node-0,compute-node-1", {"data-owner-0", "data-owner-1", "data-owner-2", "data-owner-3"}),
        ("pairwise", "compute-node-0,compute-node-1,data-owner-0,data-owner-1", set()),
        ("pairwise", "compute-node-0,data-owner-0,data-owner-1,data-owner-2", {"data-owner-3"}),
        ("additive", "compute-node-0", set()),
        ("additive", "compute-node-0,compute-node-1", {f"data-owner-{each}" for each in range(4)}),
        ("secagg", "compute-node-0,compute-node-1", set()),
        ("secagg", "compute-node-0,compute-node-1,data-owner-0,data-owner-1", set()),
        ("secagg", "compute-node-0,data-owner-0,data-owner-1,data-owner-2", {"data-owner-3"}),
    ],
)
def test_inputs_that_a_coalition_can_compute(protocol: str, coalition: str, opened: set[str]) -> None:
    text = invoke("explain", protocol, "--coalition", coalition).output
    assert set(re.findall(r"the input of (\S+):", text)) == opened
    assert ("no input of one owner alone" in text) is (not opened)


def test_a_round_shows_nothing_of_itself() -> None:
    played = play("secagg")
    assert repr(played) == "PlayedRound(redacted)"
    assert all(repr(mask.key) not in repr(mask) for mask in played.masks)


def test_a_page_that_runs_nothing(tmp_path: Path) -> None:
    out = tmp_path / "round.html"
    assert invoke("explain", "secagg", "--drop", "upload", "-o", out).exit_code == 0
    text = html.unescape(out.read_text())
    assert "<script" not in text
    assert "default-src 'none'" in text
    account = Account(play("secagg", drop="upload"))
    for section in sections(account, account.played.setting.terms.nodes):
        assert f"<h2>{section.title}</h2>" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nothing"], "asyncagg explain: there is no protocol 'nothing' (plain, pairwise,"),
        (["plain", "--drop", "share"], 'owners of "plain" have no phase "share" (one of "publish", "upload")'),
        (["secagg", "--drop", "certify"], 'owners of "secagg" have no phase "certify"'),
        (["secagg", "--drop", "lunch"], '"lunch" is no phase (one of "publish"'),
        (["secagg", "--coalition", "me"], '--coalition: "me" is no player (one of "data-owner-0"'),
        (["secagg", "--owners", "9"], "--owners"),
        (["secagg", "-o", "/nowhere/round.html"], "/nowhere/round.html: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(words: list[str], line: str) -> None:
    done = invoke("explain", *words)
    assert done.exit_code == 2
    assert line in done.output
    assert done.output.count("\n") == 1


def test_phases_without_a_message_of_owners_are_refused() -> None:
    assert "reveal" in PHASES
    with pytest.raises(ExplainError, match="no phase"):
        play("secagg", drop="reveal")
