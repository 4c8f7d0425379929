"""The kinds of value that keys of a scenario hold, and the base of every table.

Types are strict: true is not a number, 3.0 is not a whole number, "3" is not either. A quantity with a unit
is a string in the file and an exact integer in the code, in an attribute whose name ends in the unit.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from asyncagg.protocols import registry
from asyncagg.scenario.errors import KeyPath, WrongWithin, one_of, show, suggestion
from asyncagg.scenario.values.units import BANDWIDTH, DURATION, RATE, SIZE, Quantity


class Table(BaseModel):
    """A table of a scenario: frozen, strict, and without a key that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """The table's keys, as a file spells them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


class BuildingTable(Table):
    """A table that stands for an object of `net`, whose constructor knows which values go together."""

    def build(self) -> object:
        """The object. ValueError for values out of range."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        try:
            self.build()
        except ValueError as error:
            rule = str(error).partition(", got ")[0]
            raise ValueError(f"is out of range ({rule})") from None
        return self


@dataclass(frozen=True, slots=True)
class InUnits:
    """Marks an integer that a file writes as text with a unit."""

    quantity: Quantity
    positive: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.quantity.parse_positive if self.positive else self.quantity.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.quantity.format, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        pattern = self.quantity.pattern(self.positive)
        return {"type": "string", "pattern": pattern, "examples": [self.quantity.example]}


Duration = Annotated[int, InUnits(DURATION)]
"""Nanoseconds, zero or more."""

PositiveDuration = Annotated[int, InUnits(DURATION, positive=True)]
"""Nanoseconds, more than zero."""

PositiveSize = Annotated[int, InUnits(SIZE, positive=True)]
"""Bytes, more than zero."""

Bandwidth = Annotated[int, InUnits(BANDWIDTH, positive=True)]
"""Bits per second, more than zero."""

Rate = Annotated[int, InUnits(RATE, positive=True)]
"""Bytes per second, more than zero."""


def in_units(quantity: Quantity, key: str, default: int, description: str) -> Any:
    """A field with a unit: the key it has in the file, and its default in the base unit."""
    extra: dict[str, Any] = {"default": quantity.format(default)}
    return Field(default, alias=key, description=description, json_schema_extra=extra)


def inner(kind: type[Table], description: str) -> Any:
    """A field that is a table of its own, with every default where the file lacks it."""
    return Field(default_factory=kind, description=description)


@dataclass(frozen=True, slots=True)
class OrAuto:
    """Marks a positive integer, a multiple of `step`, that may be "auto": worked out from the rest."""

    step: int = 1

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        number = {"type": "integer", "minimum": self.step, "multipleOf": self.step}
        return {"anyOf": [{"const": "auto"}, number]}

    def _check(self, value: object) -> int | str:
        if value == "auto":
            return "auto"
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < self.step or value % self.step:  # type: ignore[operator]
            kind = "a whole number of 1 or more" if self.step == 1 else "an even number of 2 or more"
            raise ValueError(f'is {show(value)} ("auto" or {kind})')
        return value  # type: ignore[return-value]


AutoWhole = Annotated[Literal["auto"] | int, OrAuto()]
"""A positive integer, or "auto"."""

AutoEven = Annotated[Literal["auto"] | int, OrAuto(step=2)]
"""A positive even integer, or "auto"."""


@dataclass(frozen=True, slots=True)
class _Named:
    """Marks the name of a protocol that can be found here: one that comes along, was registered, or is installed."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": list(registry.names())}

    def _check(self, value: object) -> str:
        known = registry.names()
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"is {show(value)} ({suggestion(value, known) or one_of(known)})")
        return value


ProtocolName = Annotated[str, _Named()]
"""The name of a protocol."""

LONGEST = 2**31 - 1
"""The most that an array can have along one of its axes, as players tell each other its shape."""

Lengths = Annotated[tuple[Annotated[int, Field(ge=1, le=LONGEST)], ...], Strict(False)]
"""Lengths of axes."""

Positives = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Strict(False)]
"""Finite numbers above zero."""


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"is {show(value)} (a path)")
    return Path(value)


FilePath = Annotated[
    Path, PlainValidator(_path), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
"""A path; a relative one starts at the folder of the file that says it, and is absolute once loaded."""

_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def _class_name(value: object) -> str:
    if not isinstance(value, str) or not _CLASS.fullmatch(value):
        raise ValueError(f'is {show(value)} ("module:Class")')
    return value


ClassName = Annotated[
    str,
    PlainValidator(_class_name),
    WithJsonSchema({"type": "string", "pattern": "^[^:]+:[^:]+$", "examples": ["module:Class"]}),
]
"""A class of the user's own, "module:Class"."""


def _free_table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"is {show(value)} (a table)")
    return {_text(key, (key,)): _free(item, (key,)) for key, item in value.items()}


def _free(value: object, path: KeyPath) -> object:
    """The value, if both TOML and JSON can say it; it stands at `path` in the table."""
    match value:
        case dict():
            return {_text(key, (*path, key)): _free(item, (*path, key)) for key, item in value.items()}
        case list() | tuple():
            return [_free(item, (*path, index)) for index, item in enumerate(value)]
        case str():
            return _text(value, path)
        case float() if not math.isfinite(value):
            raise WrongWithin(path, f"is {show(value)} (a finite number)")
        case bool() | int() | float():
            return value
    raise WrongWithin(path, f"is {show(value)} (text, a number, true or false, a list or a table)")


def _text(value: object, path: KeyPath) -> str:
    """Keys and values: JSON can spell halves of characters that no file can hold."""
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise WrongWithin(path, f"is or holds {show(value)} (text in Unicode)")
    return value


FreeTable = Annotated[
    dict[str, Any],
    PlainValidator(_free_table),
    WithJsonSchema({"type": "object", "additionalProperties": True}),
]
"""A table with keys of the user's choice."""
