"""HTML and SVG from plain values: everything is escaped, unless it is `Markup` already."""

from __future__ import annotations

import html
import re

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is HTML already, made here."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """Any value as the text of an element or an attribute."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=True))


def joined(*parts: object) -> Markup:
    """One after the other; text is escaped."""
    return Markup("".join(escaped(part) for part in parts))


def tag(name: str, /, *children: object, **attributes: Attribute) -> Markup:
    """An element. `class_` stands for class, `data_x` for data-x; None and False leave an attribute out."""
    said = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if not children and name in _EMPTY:
        return Markup(f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


_EMPTY = frozenset({"br", "hr", "input", "line", "meta", "path", "rect", "circle"})


_NUMBER = re.compile(r"[\d.,]+( \w+)?( in [\d,]+)?")
"""With a unit, and in how many messages."""


def table(head: list[object], rows: list[list[object]], caption: object = "") -> Markup:
    """Rows under a head; what is a number stands right."""
    above = tag("caption", caption) if caption else ""
    heads = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    body = (tag("tr", *(_cell(place, cell) for place, cell in enumerate(row))) for row in rows)
    return tag("div", tag("table", above, tag("thead", heads), tag("tbody", *body)), class_="wide")


def _cell(place: int, value: object) -> Markup:
    if place == 0:
        return tag("th", value, scope="row")
    numeric = not isinstance(value, Markup) and _NUMBER.fullmatch(str(value)) is not None
    return tag("td", value, class_="number" if numeric else None)
