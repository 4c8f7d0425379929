"""The real players on the virtual loop with a protocol without cryptography that fails when it is told to."""

import pytest
from support.dummy import Failures, dummy
from support.runs import run, scenario

import asyncagg
from asyncagg.api import Result
from asyncagg.protocols import registry
from asyncagg.protocols.names import owner_name


def play(monkeypatch: pytest.MonkeyPatch, failures: Failures, engine: str = "sim", **tables: object) -> Result:
    monkeypatch.setitem(registry._registered, "dummy", dummy(failures))
    return run("dummy", 5, engine, encoding={"bits": 5}, **tables)


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_sum_modulo_256(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = play(monkeypatch, Failures(), engine, rounds=4)
    assert result["parameters"]["ring_bits"] == 8
    assert [each["exact"] for each in result["rounds"]] == [True] * 4


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_an_abort_of_the_lead_is_retried(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = play(monkeypatch, Failures(lead_aborts=(1, 2)), engine, rounds=2)
    assert result["status"] == "ok"
    for each in result["rounds"]:
        assert (each["attempts"], each["exact"], each["reason"]) == (3, True, "on demand")


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_node_that_will_not_go_on_is_named_and_the_round_retried(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = play(monkeypatch, Failures(node_rejects=(1,)), engine)
    (each,) = result["rounds"]
    assert (each["status"], each["attempts"], each["exact"]) == ("ok", 2, True)
    assert "no more of this" in each["reason"]
    assert "compute-node-" in each["reason"]


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_an_owner_that_will_not_go_on_costs_nobody_else_the_round(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = play(monkeypatch, Failures(owners_reject={owner_name(3): 1}), engine)
    (each,) = result["rounds"]
    assert (each["status"], each["attempts"], each["exact"]) == ("ok", 1, True)
    assert list(each["dropped"]) == ["data-owner-3"]
    assert any("I would rather not" in record.detail for record in result.trace.records if record.event == "drop")


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize("role", ["owner", "lead", "node", "receiver"])
def test_a_mistake_of_ours_is_raised_loudly(role: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError, match=f"a mistake in {role}"):
        play(monkeypatch, Failures(bugs={role: 1}), engine)


def test_retries_end_when_the_policy_says(monkeypatch: pytest.MonkeyPatch) -> None:
    result = play(monkeypatch, Failures(lead_aborts=(1, 2, 3)), aggregation={"retries": 1})
    assert (result["status"], result["rounds"][0]["attempts"]) == ("failed", 2)
    assert "on demand" in result["reason"]


def test_two_hundred_owners_in_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = scenario("plain", 200, encoding={"bits": 2}, network={"latency": "40 ms"})
    result = asyncagg.run(values)
    assert result["rounds"][0]["exact"] is True
    assert len(result["rounds"][0]["survivors"]) == 200
    assert result["seconds"]["virtual"] == pytest.approx(result["rounds"][0]["seconds"]["total"], abs=1)
