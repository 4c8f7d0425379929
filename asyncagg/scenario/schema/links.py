"""The tables `[network]`, `[links.NAME]` and `[[owners.groups]]`: how players are connected, and which are alike."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from asyncagg.net.durations import MILLISECOND_NS
from asyncagg.net.links.model import Link
from asyncagg.net.links.presets import PRESETS
from asyncagg.scenario.schema.compute import DeviceName
from asyncagg.scenario.schema.fields import (
    Bandwidth,
    BuildingTable,
    Duration,
    PositiveDuration,
    PositiveSize,
    Table,
    in_units,
)
from asyncagg.scenario.schema.latency import Latency, built, written
from asyncagg.scenario.values.units import BANDWIDTH, DURATION, SIZE

Preset = Literal["datacenter", "broadband", "mobile-4g", "satellite", "flamingo-2023"]
"""The names of `asyncagg.net.links.presets`."""


class LinkTable(BuildingTable):
    """A link. What it does to messages is said in `asyncagg.net.links.model`."""

    preset: Preset | None = Field(None, description="a link with a name, whose keys the others here replace")
    latency: Latency = Field(
        0,
        description='one-way delay: a duration, or a table { model = "lognormal", median = "40 ms", sigma = 0.5 }',
        json_schema_extra={"default": "0 s"},
    )
    jitter_ns: Duration = in_units(DURATION, "jitter", 0, "added to the latency, uniform in ± this")
    bandwidth_up: Bandwidth | None = Field(None, description="bits per second that leave a player; absent: no limit")
    bandwidth_down: Bandwidth | None = Field(None, description="bits per second that reach one; absent: no limit")
    loss: float = Field(0.0, ge=0, lt=1, description="probability that a segment is lost and sent again later")
    rto_ns: PositiveDuration = in_units(
        DURATION, "rto", 200 * MILLISECOND_NS, "time until a lost segment is sent again, at most 60 s"
    )
    queue_limit_bytes: PositiveSize | None = Field(
        None, alias="queue_limit", description="bytes in flight beyond which a channel breaks; absent: no limit"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        preset = given.get("preset") if isinstance(given, dict) else None
        link = PRESETS.get(preset) if isinstance(preset, str) else None
        return given if link is None else _as_file(link) | given

    def build(self) -> Link:
        """The link. ValueError for values out of range."""
        return Link(
            latency=built(self.latency),
            jitter_ns=self.jitter_ns,
            bandwidth_up=self.bandwidth_up,
            bandwidth_down=self.bandwidth_down,
            loss=self.loss,
            rto_ns=self.rto_ns,
            queue_limit=self.queue_limit_bytes,
        )


def _as_file(link: Link) -> dict[str, Any]:
    """The keys of a file for a link; no key for what has no limit."""
    values: dict[str, Any] = {
        "latency": written(link.latency),
        "jitter": DURATION.format(link.jitter_ns),
        "loss": link.loss,
        "rto": DURATION.format(link.rto_ns),
    }
    if link.bandwidth_up is not None:
        values["bandwidth_up"] = BANDWIDTH.format(link.bandwidth_up)
    if link.bandwidth_down is not None:
        values["bandwidth_down"] = BANDWIDTH.format(link.bandwidth_down)
    if link.queue_limit is not None:
        values["queue_limit"] = SIZE.format(link.queue_limit)
    return values


LinkName = Annotated[str, Field(min_length=1, max_length=100)]
"""The name of a link of the scenario, or of a preset."""


class Group(Table):
    """Owners that are alike: the next `count` of them by index."""

    count: int = Field(ge=1, description="owners in the group, the next by index")
    link: LinkName | None = Field(None, description="name of their link, or of a preset; absent: the owners' own")
    device: DeviceName | None = Field(None, description="what they compute on; absent: the owners' own")
