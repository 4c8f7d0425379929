"""Who was refused stays away: how long, until when it is pardoned, and how many are remembered."""

from __future__ import annotations

import pytest
from support.channels import SECOND

from asyncagg.net import exclusion
from asyncagg.net.errors import NotNow, Refusal, Refused, refused
from asyncagg.net.exclusion import FORGOTTEN_NS, Backoff, Exclusions


def test_waits_double_up_to_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.refused(n * SECOND) // SECOND for n in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_refusal_that_is_long_ago_counts_no_more() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.refused(0)
    assert backoff.refused(FORGOTTEN_NS) == 32 * SECOND
    assert not backoff.is_over(2 * FORGOTTEN_NS)
    assert backoff.is_over(2 * FORGOTTEN_NS + 1)
    assert backoff.refused(2 * FORGOTTEN_NS + 1) == SECOND


def test_nobody_comes_back_before_it_is_pardoned_nor_before_its_time() -> None:
    exclusions = Exclusions()
    exclusions.refuse("node-0", "owner-0", 0)
    words = "owner-0 was refused before, and may come back later"
    assert exclusions.objection("node-0", "owner-0", 3600 * SECOND) == words
    exclusions.pardon("node-1")
    assert exclusions.objection("node-0", "owner-0", 3600 * SECOND) == words
    exclusions.pardon("node-0")
    assert exclusions.objection("node-0", "owner-0", SECOND // 2) == words.replace("later", "in 0.5 s")
    assert exclusions.objection("node-0", "owner-0", SECOND) is None
    exclusions.refuse("node-0", "owner-0", SECOND)
    exclusions.pardon("node-0")
    assert exclusions.objection("node-0", "owner-0", 3 * SECOND - 1) is not None
    assert exclusions.objection("node-0", "owner-0", 3 * SECOND) is None


def test_one_is_refused_by_one_alone() -> None:
    exclusions = Exclusions()
    exclusions.refuse("node-0", "owner-0", 0)
    for local, remote in (("node-0", "owner-1"), ("node-1", "owner-0"), ("owner-0", "node-0")):
        assert exclusions.objection(local, remote, 0) is None


def test_however_many_are_refused_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusion, "_MOST", 10)
    exclusions = Exclusions()
    for number in range(100):
        exclusions.refuse("node-0", f"owner-{number}", number)
    assert len(exclusions._players["node-0"]) <= 10
    assert exclusions.objection("node-0", "owner-99", 100) is not None
    exclusions.refuse("node-0", "owner-100", 2 * FORGOTTEN_NS)
    for number in range(101, 112):
        exclusions.refuse("node-0", f"owner-{number}", 2 * FORGOTTEN_NS)
    assert all(int(name.removeprefix("owner-")) >= 100 for name in exclusions._players["node-0"])


@pytest.mark.parametrize("code", list(Refusal))
def test_a_refusal_says_whether_trying_again_may_help(code: Refusal) -> None:
    passes = {"no-hello", "too-many-waiting", "too-many-connections", "too-fast", "already-connected", "excluded"}
    assert type(refused("node-0", f"{code}: for some reason")) is (NotNow if code in passes else Refused)
