"""The table `[compute]`: what computing costs in virtual time, and devices with names.

Where the figures of the devices come from

    server   one core of a cloud machine under `asyncagg calibrate`, in round figures
    laptop   half as fast: an assumption
    phone    a quarter as fast: an assumption

A device does not say what a gradient costs: that is the workload's.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from asyncagg.scenario.schema.fields import Duration, Rate, Table
from asyncagg.scenario.values.units import DURATION, RATE

DeviceName = Literal["phone", "laptop", "server"]

_SERVER = {
    "key_pair": 35_000,
    "key_agreement": 40_000,
    "share": 500,
    "box": 2_000,
    "signature": 100_000,
}
_SERVER_RATES = {"keystream": 7_000_000_000, "add": 9_000_000_000, "encode": 5_600_000_000}
_TIMES_AS_SLOW = {"server": 1, "laptop": 2, "phone": 4}


class ComputeSection(Table):
    """Prices of work; what has none takes no time."""

    device: DeviceName | None = Field(None, description="a device with a name, whose prices the others here replace")
    key_pair_ns: Duration | None = Field(None, alias="key_pair", description="to make an X25519 key pair")
    key_agreement_ns: Duration | None = Field(None, alias="key_agreement", description="one X25519 agreement")
    share_ns: Duration | None = Field(None, alias="share", description="to make or combine one Shamir share")
    box_ns: Duration | None = Field(None, alias="box", description="to seal or open one small message")
    signature_ns: Duration | None = Field(None, alias="signature", description="to verify one Ed25519 signature")
    gradient_ns: Duration | None = Field(None, alias="gradient", description="one gradient of an owner")
    keystream: Rate | None = Field(None, description="bytes of mask expanded per second")
    add: Rate | None = Field(None, description="bytes of ring elements packed or added per second")
    encode: Rate | None = Field(None, description="bytes of values (8 each) encoded per second")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        device = given.get("device") if isinstance(given, dict) else None
        return prices(device) | given if isinstance(device, str) and device in _TIMES_AS_SLOW else given


def prices(device: str) -> dict[str, str]:
    """A device's prices as `[compute]` says them."""
    times = _TIMES_AS_SLOW[device]
    durations = {key: DURATION.format(price * times) for key, price in _SERVER.items()}
    return durations | {key: RATE.format(rate // times) for key, rate in _SERVER_RATES.items()}


def device(name: DeviceName) -> ComputeSection:
    """A device with a name."""
    return ComputeSection.model_validate({"device": name})
