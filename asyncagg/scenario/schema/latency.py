"""The key `latency` of a link: a duration that is always the same, or a table that names a distribution.

`UniformSection` has the parameters of `asyncagg.net.links.latency.Uniform`, which says what they mean, and so on.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Strict, Tag, model_validator

from asyncagg.net.durations import MILLISECOND_NS
from asyncagg.net.links import latency as net
from asyncagg.scenario.errors import WrongWithin
from asyncagg.scenario.schema.fields import BuildingTable, Duration, PositiveDuration, in_units
from asyncagg.scenario.values.csv_rows import rows, text_of
from asyncagg.scenario.values.units import DURATION

_FILE_MIB = 16
_RIGHT_LINE = "one latency in milliseconds a line"


class Distribution(BuildingTable):
    """Base of all distributions."""

    min_ns: Duration = in_units(DURATION, "min", 0, "draws below it become it")
    max_ns: Duration = in_units(DURATION, "max", net.MAX_NS, "draws above it become it")

    def build(self) -> net.Latency:
        """Build the model that draws from it. ValueError for parameters out of range."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return _CLASSES[values.pop("model")](**values)


class UniformSection(Distribution):
    """Equally likely everywhere between two bounds."""

    model: Literal["uniform"] = Field(description="equally likely everywhere from low to high")
    low_ns: Duration = Field(alias="low", description="the least")
    high_ns: Duration = Field(alias="high", description="the most")


class NormalSection(Distribution):
    """Mean and standard deviation."""

    model: Literal["normal"] = Field(description="the bell curve; what would be negative is zero")
    mean_ns: Duration = Field(alias="mean", description="the mean")
    deviation_ns: Duration = Field(alias="deviation", description="the standard deviation")


class LognormalSection(Distribution):
    """Median, and standard deviation of the logarithm."""

    model: Literal["lognormal"] = Field(description="its logarithm is normal")
    median_ns: PositiveDuration = Field(alias="median", description="the median")
    sigma: float = Field(ge=0, le=10, description="standard deviation of the logarithm")


class ExponentialSection(Distribution):
    """Memoryless."""

    model: Literal["exponential"] = Field(description="memoryless")
    mean_ns: PositiveDuration = Field(alias="mean", description="the mean")


class ParetoSection(Distribution):
    """A heavy tail."""

    model: Literal["pareto"] = Field(description="a heavy tail above the scale")
    scale_ns: PositiveDuration = Field(alias="scale", description="the least")
    alpha: float = Field(ge=0.1, le=1000, description="how fast the tail falls")


class CubicSection(Distribution):
    """The model of the ABIDES simulator."""

    model: Literal["cubic"] = Field(description="ABIDES: a least latency for each pair, and a cubic tail")
    low_ns: Duration = Field(alias="low", description="the least of any pair")
    high_ns: Duration = Field(alias="high", description="the most that is the least of a pair")
    a: float = Field(0.5, ge=0, le=1e6, description="jitter")
    clip: float = Field(0.1, ge=1e-6, le=1, description="jitter_clip")
    unit: float = Field(10.0, ge=1e-6, le=1e6, description="jitter_unit")


class EmpiricalSection(Distribution):
    """Measured quantiles; `file` is read when the scenario is, and the scenario then holds what it said."""

    model: Literal["empirical"] = Field(description="measured quantiles, at equal steps of probability from 0 to 1")
    quantiles_ns: Annotated[tuple[Duration, ...], Strict(False)] = Field(
        alias="quantiles",
        description='durations in ascending order; or file = "…": one latency in milliseconds a line, in any order',
    )

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "file" not in given:
            return given
        rest = {key: value for key, value in given.items() if key != "file"}
        return {**rest, "quantiles": [DURATION.format(each) for each in _quantiles(given["file"])]}


def _quantiles(path: object) -> tuple[int, ...]:
    text = text_of(path, _FILE_MIB, _RIGHT_LINE)
    try:
        return samples(text)
    except ValueError as error:
        raise WrongWithin(("file",), f"{path}:{error}") from None


def samples(text: str) -> tuple[int, ...]:
    """Nanoseconds, ascending, out of a file of milliseconds: one latency a line, in any order, perhaps below a header.

    ValueError that starts with the number of the line: `3: …`.
    """
    found: list[int] = []
    header = True
    for number, row in rows(text):
        if len(row) > 1:
            raise ValueError(f"{number}: has {len(row)} fields ({_RIGHT_LINE})")
        if not (header and not found and _is_name(row[0])):
            found.append(_nanoseconds(number, row[0]))
        header = False
    if len(found) < 2:
        raise ValueError(f"1: {len(found)} latencies (two or more, one in milliseconds a line)")
    return tuple(sorted(found))


def _is_name(text: str) -> bool:
    """True if a first line can only be a header: it names what is below it, and does not even begin as a number."""
    return text[:1].isalpha() and not _is_number(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _nanoseconds(number: int, text: str) -> int:
    if not _is_number(text):
        raise ValueError(f"{number}: {text[:40]!r} is no number (a latency in milliseconds)")
    value = float(text) * MILLISECOND_NS
    if not 0 <= value <= net.MAX_NS:
        raise ValueError(f"{number}: {text} ms is out of range (0 to {net.MAX_NS // MILLISECOND_NS} ms)")
    return round(value)


MODELS: Mapping[str, type[Distribution]] = {
    "uniform": UniformSection,
    "normal": NormalSection,
    "lognormal": LognormalSection,
    "exponential": ExponentialSection,
    "pareto": ParetoSection,
    "cubic": CubicSection,
    "empirical": EmpiricalSection,
}

_CLASSES: Mapping[str, type[net.Latency]] = {
    name: getattr(net, kind.__name__.removesuffix("Section")) for name, kind in MODELS.items()
}

_AnyDistribution = Annotated[
    UniformSection
    | NormalSection
    | LognormalSection
    | ExponentialSection
    | ParetoSection
    | CubicSection
    | EmpiricalSection,
    Field(discriminator="model"),
]


def _way_to_say(given: object) -> str:
    return "distribution" if isinstance(given, dict | Distribution) else "constant"


Latency = Annotated[
    Annotated[Duration, Tag("constant")] | Annotated[_AnyDistribution, Tag("distribution")],
    Discriminator(_way_to_say),
]
"""Nanoseconds, or a distribution of them."""


def built(latency: int | Distribution) -> net.Latency:
    """Model from which a link draws its latencies."""
    return net.Constant(latency) if isinstance(latency, int) else latency.build()


def written(latency: net.Latency) -> str | dict[str, Any]:
    """Form of a latency in a file: the inverse of reading a file and `built`."""
    if isinstance(latency, net.Constant):
        return DURATION.format(latency.ns)
    values: dict[str, Any] = {"model": type(latency).__name__.lower()}
    for field in fields(latency):
        value = getattr(latency, field.name)
        key = field.name.removesuffix("_ns")
        values[key] = DURATION.format(value) if key != field.name else value
    return values
