"""What is odd and no mistake: said in one line, and only where it is so."""

from typing import Any

import pytest

from asyncagg.protocols.names import PHASES
from asyncagg.scenario import parse
from asyncagg.scenario.notes import notes


def said(rounds: int, protocol: str = "secagg+", engine: str = "sim", **values: Any) -> tuple[str, ...]:
    table = {"name": "x", "rounds": rounds, "engine": engine, "aggregation": {"protocol": protocol}}
    return notes(parse(table | values))


def fault(kind: str, phase: str = "upload", **keys: Any) -> dict[str, Any]:
    return {"kind": kind, "players": ["data-owner-1"], "phase": phase, **keys}


@pytest.mark.parametrize(("rounds", "right"), [(2, "rounds are 0 to 1"), (1, "there is round 0 alone")])
@pytest.mark.parametrize("beyond", [[7], [2, 7], "2-9"])
@pytest.mark.parametrize("kind", ["drop", "crash"])
def test_faults_beyond_the_last_round(kind: str, beyond: Any, rounds: int, right: str) -> None:
    assert said(rounds, faults=[fault("drop"), fault(kind, rounds=beyond)]) == (
        f"faults.1.rounds: the fault never strikes ({right})",
    )


@pytest.mark.parametrize("there", ["all", [0], [1, 7], "1-9"])
def test_faults_that_strike_are_not_noted(there: Any) -> None:
    assert said(2, faults=[fault("drop", rounds=there), fault("crash", rounds=there)]) == ()


def test_faults_at_a_time_have_no_rounds() -> None:
    assert said(1, faults=[{"kind": "crash", "players": {"count": 1}, "at": "1 h"}]) == ()


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive"])
def test_drops_after_the_owners_last_word(protocol: str) -> None:
    """A phase that the protocol lacks means its next one: with these, none in which owners speak."""
    for phase in PHASES[:-1]:
        late = phase in ("certify", "unmask")
        note = (
            f'faults.0.phase: is "{phase}", when owners have nothing more to say with {protocol}: '
            "the fault never strikes (no later than upload)"
        )
        assert said(1, protocol, faults=[fault("drop", phase)]) == ((note,) if late else ())
        assert said(1, protocol, faults=[fault("reset", phase)]) == ()


@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
def test_drops_in_any_phase_of_protocols_that_recover(protocol: str) -> None:
    assert said(1, protocol, faults=[fault("drop", phase) for phase in PHASES[:-1]]) == ()


def test_what_nobody_can_judge_on_hosts() -> None:
    note = "expect.exact: is not judged on hosts, where nobody sees the inputs (an engine on one machine tells)"
    assert said(1, engine="hosts", expect={"exact": True}) == (note,)
    assert said(1, engine="hosts", expect={"completed": True}) == ()
    assert said(1, engine="tcp", expect={"exact": True}) == ()
