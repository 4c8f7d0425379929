"""Says in plain words what the schema found wrong: each of pydantic's errors becomes a Mistake."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from asyncagg.scenario.errors import (
    KeyPath,
    Mistake,
    WrongWithin,
    closest,
    dotted,
    one_of,
    quoted,
    show,
    suggestion,
)

Node = dict[str, Any]
"""A part of a JSON Schema."""

_DEFINITIONS = "#/$defs/"
_TYPES = {"string": "text", "boolean": "true or false", "array": "a list", "object": "a table"}


def mistakes(error: ValidationError, schema: Node) -> Iterator[Mistake]:
    """Mistakes in words, in the order of the schema; `schema` is the JSON Schema of the model that failed."""
    for found in error.errors(include_url=False):
        place = _locate(schema, found["loc"])
        given = found["input"]
        match found["type"]:
            case "value_error":
                wrong = found["ctx"]["error"]
                inner = wrong.path if isinstance(wrong, WrongWithin) else ()
                yield Mistake((*place.path, *inner), str(wrong))
            case "missing":
                yield Mistake(place.path, f"is missing ({place.node['description']})")
            case "extra_forbidden":
                yield Mistake(place.path, _unknown(str(place.path[-1]), place, schema))
            case "invalid_key":
                yield Mistake(place.path, "is a key that is not text (text)")
            case "union_tag_invalid":
                yield _wrong_tag(place, given)
            case "union_tag_not_found" if "discriminator" in place.node and isinstance(given, dict):
                yield _no_tag(place)
            case "union_tag_not_found":
                yield from _wrong_choice(place, given, schema)
            case "too_short" if given:
                continue  # it counts the elements that are right, and says of each other one what is wrong
            case "too_short":
                yield Mistake(place.path, "is empty (at least one element)")
            case "too_long":
                yield Mistake(place.path, f"has {len(given)} elements (at most {place.node['maxItems']})")
            case "tuple_type" if isinstance(given, dict) and given and all(map(_is_index, given)):
                yield Mistake(place.path, _no_element(place.path, list(given)))
            case _:
                yield Mistake(place.path, f"is {show(given)} ({_expected(place, given)})")


@dataclass(frozen=True, slots=True)
class _Place:
    """Place of an error, in file and schema, with the table around it and the variants that table has."""

    path: KeyPath
    node: Node
    table: Node
    union: tuple[Node, ...] = ()


def _locate(schema: Node, loc: tuple[str | int, ...]) -> _Place:
    """Follows pydantic's location, in which the tag of the chosen variant follows every union."""
    place = _Place((), schema, {})
    variants: tuple[Node, ...] = ()
    for step in loc:
        node = place.node
        if "oneOf" in node:
            variants = tuple(_resolve(schema, variant) for variant in node["oneOf"])
            place = _Place(place.path, _resolve(schema, _variant(node, step)), place.table)
        else:
            inner = node["items"] if "items" in node else _property(node, step)
            place = _Place((*place.path, step), _resolve(schema, inner), node, variants)
            variants = ()
    return place


def _property(node: Node, key: str | int) -> Node:
    """A key of a table, or what any key is in a table of tables with free names."""
    inner: Node = node.get("properties", {}).get(key) or node.get("additionalProperties") or {}
    return inner


def _variant(union: Node, tag: str | int) -> Node:
    """Tags are values of the key that tells the variants apart, or names of classes; a list has its own."""
    reference = union.get("discriminator", {}).get("mapping", {}).get(tag, f"{_DEFINITIONS}{tag}")
    variants: dict[str | None, Node] = {variant.get("$ref"): variant for variant in union["oneOf"]}
    return variants[reference] if reference in variants else variants[None]


def _resolve(schema: Node, node: Node) -> Node:
    """The node itself in place of a reference to it, and of a choice between it and null."""
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        definitions: dict[str, Node] = schema["$defs"]
        return definitions[node["$ref"].removeprefix(_DEFINITIONS)] | beside
    if "anyOf" in node and {"type": "null"} in node["anyOf"]:
        beside = {key: value for key, value in node.items() if key != "anyOf"}
        choices: list[Node] = node["anyOf"]
        return next(choice for choice in choices if choice != {"type": "null"}) | beside
    return node


def _expected(place: _Place, given: object) -> str:
    """Expected value, in words."""
    node = place.node
    if "enum" in node or "const" in node:
        choices = node.get("enum") or [node["const"]]
        return suggestion(given, choices) or one_of(choices)
    if node.get("type") == "integer":
        return f"a whole number{_bounds(node)}"
    if node.get("type") == "number":
        return f"a number{_bounds(node)}"
    if node.get("items", {}).keys() & {"$ref", "oneOf"}:
        return f"a list of tables, [[{dotted(place.path)}]]"
    right = _TYPES.get(node.get("type", ""), str(node.get("description")))
    right += ", not empty" if "minLength" in node or "minItems" in node else ""
    return right + (f", of at most {node['maxLength']} letters" if "maxLength" in node else "")


def _is_index(key: object) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdigit()


def _no_element(path: KeyPath, indices: list[str]) -> str:
    """Overrides of elements of a list that no file says make a table of them."""
    missing = ", ".join(map(quoted, indices))
    return f"there is no element {missing} to change, as nothing gives this list (the whole list, {dotted(path)}=[…])"


def _bounds(node: Node) -> str:
    match node:
        case {"minimum": low, "maximum": high}:
            return f" from {low} to {high}"
        case {"minimum": low, "exclusiveMaximum": high}:
            return f" from {low} to below {high}"
        case {"exclusiveMinimum": low, "maximum": high}:
            return f" above {low}, at most {high}"
        case {"exclusiveMinimum": low}:
            return f" above {low}"
        case {"minimum": low}:
            return f" of {low} or more"
    return ""


def _wrong_tag(place: _Place, given: object) -> Mistake:
    """A `kind` there is not."""
    name = place.node["discriminator"]["propertyName"]
    kinds = list(place.node["discriminator"]["mapping"])
    said = given[name] if isinstance(given, dict) else given
    return Mistake((*place.path, name), f"is {show(said)} ({suggestion(said, kinds) or one_of(kinds)})")


def _no_tag(place: _Place) -> Mistake:
    """No `kind` at all."""
    name = place.node["discriminator"]["propertyName"]
    return Mistake((*place.path, name), f"is missing ({one_of(place.node['discriminator']['mapping'])})")


def _wrong_choice(place: _Place, given: object, schema: Node) -> Iterator[Mistake]:
    """None of the variants, which are told apart by the keys they have."""
    if not isinstance(given, dict) or not given:
        yield Mistake(place.path, f"is {show(given)} ({place.node['description']})")
        return
    variants = [_resolve(schema, variant) for variant in place.node["oneOf"]]
    keys = [key for variant in variants for key in variant.get("properties", {})]
    for key in given:
        yield Mistake((*place.path, key), f"is not a known key ({suggestion(key, keys) or _list_of(keys)})")


def _unknown(key: str, place: _Place, schema: Node) -> str:
    """A key that the table does not have: of another variant, or misspelt, or of another table."""
    keys = list(place.table["properties"])
    others = [variant for variant in place.union if key in variant.get("properties", {})]
    if others:
        return _of_another(place.table, others)
    return f"is not a known key ({suggestion(key, keys) or _elsewhere(key, schema) or _list_of(keys)})"


def _elsewhere(key: str, schema: Node) -> str | None:
    """The one table in which the key would be right, or nearly."""
    homes: dict[str, list[str]] = {}
    for name, node in schema["properties"].items():
        table = _resolve(schema, node)
        for variant in table.get("oneOf", [table]):
            for inner in _resolve(schema, variant).get("properties", {}):
                homes.setdefault(inner, []).append(f"{name}.{inner}")
    near = closest(key, list(homes))
    return f"did you mean {quoted(homes[near][0])}?" if near and len(homes[near]) == 1 else None


def _of_another(table: Node, others: list[Node]) -> str:
    """A table's tag is the key that has one constant value in each variant, such as `kind`."""
    for tag, node in table["properties"].items():
        if "const" in node:
            owners = " and ".join(quoted(other["properties"][tag]["const"]) for other in others)
            return f"is a key of {tag} {owners} (the {tag} here is {quoted(node['const'])})"
    own = next(key for key in table["properties"] if key not in others[0]["properties"])
    return f"cannot stand beside {own} (one of the two)"


def _list_of(keys: list[str]) -> str:
    return f"the keys here are {', '.join(keys)}"
