"""Writes plain values as TOML. The standard library only reads it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from asyncagg.scenario.errors import json_string

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def to_toml(values: Mapping[str, Any]) -> str:
    """TOML 1.0 that reads back to equal values.

    `values` holds strings, booleans, integers, finite floats, lists, and mappings with string keys.
    """
    return "\n".join(_table((), values)).strip("\n") + "\n"


def _table(path: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one table: plain keys first, then the tables within."""
    inner = {key: value for key, value in values.items() if _is_table(value) or _is_tables(value)}
    yield from (f"{_key(key)} = {_value(value)}" for key, value in values.items() if key not in inner)
    for key, value in inner.items():
        name = (*path, key)
        for table in value if _is_tables(value) else [value]:
            header = ".".join(map(_key, name))
            if _is_tables(value):
                yield f"\n[[{header}]]"
            elif not table or not all(map(_is_table, table.values())):
                yield f"\n[{header}]"
            yield from _table(name, table)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: object) -> bool:
    """True if the value is written as [[name]], once an element."""
    return isinstance(value, list) and bool(value) and all(map(_is_table, value))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _string(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            inside = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
            return f"{{ {inside} }}" if inside else "{}"
    raise TypeError(f"TOML cannot hold a {type(value).__name__}")


def _string(text: str) -> str:
    """A basic string. JSON's escapes are TOML's, but JSON lets DEL stand as it is."""
    return json_string(text).replace("\x7f", "\\u007f")
