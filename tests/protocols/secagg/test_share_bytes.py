"""What sharing costs on the wire: as forecast, and at most a fifth more than boxes and keys alone."""

import pytest
from support.attack_driver import play, scenario

from asyncagg.protocols.forecast.traffic import SIZES
from asyncagg.protocols.forecast.work import cost
from asyncagg.protocols.forecaster import Setting
from asyncagg.protocols.names import owner_name

SLACK = 12
"""Bytes by which a frame's header and the heads in a body may differ from those of the table."""


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize(("protocol", "owners"), [("secagg", 12), ("secagg", 30), ("secagg+", 60)])
def test_sharing_takes_what_is_forecast_and_a_fifth_more_than_without_tags(
    protocol: str, owners: int, threat: str
) -> None:
    values = scenario(owners, protocol, threat=threat, corrupt=0.05, dropout=0.1)
    played = play(values)
    k = next(iter(played.kept.values())).session.parameters.neighbours
    me = owner_name(5)
    kinds = ("sealed-shares", "share-boxes")
    shared = [each for each in played.trace if each.event == "message" and each.kind in kinds]
    sent = sum(each.bytes for each in shared if each.sender == me)
    received = sum(each.bytes for each in shared if each.receiver == me)
    setting = Setting(protocol, owners, 2, 12, 16, neighbours=k, threat=threat)  # type: ignore[arg-type]
    told = cost(setting).phases["share"]
    assert abs(told.sent - sent) <= SLACK
    assert abs(told.received - received) <= SLACK
    tags = 2 * k * SIZES.share_tags + setting.complete * SIZES.share_tags
    signed = SIZES.signature if threat == "lying" and not setting.complete else SIZES.empty
    assert sent + received <= 1.2 * (sent + received - tags - signed)
