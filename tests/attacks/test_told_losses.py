"""What the lead tells of owners that left is believed where it is taken to be honest, and printed safely anywhere."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from support.attack_driver import play, scenario

from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Abort, Effect, Enter, Send
from asyncagg.protocols.names import CAUSES, MODEL_OWNER, PHASES, Player, index_of, owner_name

COUNT = 8


def all_refuse(context: Context, effect: Effect) -> Iterable[Effect]:
    """Instead of a round: everybody refuses for good, it says, in words that would move a cursor."""
    if not isinstance(effect, Enter):
        return (effect,)
    told = tuple((index_of(owner), CAUSES.index("refuses"), "\x1b[2Jno\n") for owner in context.cohort)
    dropped = dict.fromkeys(context.cohort, PHASES[0])
    return Send(MODEL_OWNER, m.Losses(told)), Abort("nobody is left", dropped, False, {})


@pytest.mark.parametrize(("threat", "attempts"), [("curious", 1), ("lying", 3)])
def test_a_lying_lead_does_not_end_a_round_with_what_it_tells_of_owners(threat: str, attempts: int) -> None:
    values = scenario(COUNT, "secagg", threat=threat, on_failure="retry", retries=2)
    played = play(values, {"lead": all_refuse})
    assert (played.round.status, played.round.attempts) == ("failed", attempts)
    assert played.round.reasons == {owner_name(index): "?[2Jno?" for index in range(COUNT)}


def test_owners_that_were_not_dropped_have_no_reason_whatever_the_lead_tells() -> None:
    def slander(context: Context, effect: Effect) -> Iterable[Effect]:
        if isinstance(effect, Send) and isinstance(effect.message, m.Report):
            return Send(MODEL_OWNER, m.Losses(((3, 1, "it failed"), (4711, 1, "who?")))), effect
        return (effect,)

    played = play(scenario(COUNT, "secagg"), {"lead": slander})
    assert (played.round.status, played.round.reasons, played.round.warnings) == ("ok", {}, [])


@pytest.mark.parametrize("sender", ["compute-node-1", "data-owner-2"])
def test_nobody_else_may_tell_of_losses(sender: str) -> None:
    def slander(context: Context, effect: Effect) -> Iterable[Effect]:
        if isinstance(effect, Send) and effect.message.kind in ("held", "advertise"):
            return Send(MODEL_OWNER, m.Losses(((3, 2, "it failed"),))), effect
        return (effect,)

    played = play(scenario(COUNT, "secagg", {"upload": [3]}), {sender: slander})
    assert played.round.reasons.get(owner_name(3), "lost") != "it failed"
    assert played.notes("refuse", Player(sender)) == ["sent losses, which is not for it to say to model-owner"]
