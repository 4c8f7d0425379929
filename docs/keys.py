"""The tables of keys in scenarios.md, out of the schema: `python docs/keys.py` brings them up to date.

They stand between two marks; everything else in the page is written by hand. A test says when they have fallen behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asyncagg.scenario.schema import json_schema

PAGE = Path(__file__).with_name("scenarios.md")
BEGIN, END = "<!-- keys: begin -->", "<!-- keys: end -->"

Schema = dict[str, Any]


def tables() -> str:
    """Markdown: for every table of a scenario its heading and one row a key."""
    schema = json_schema()
    return "\n".join(_table("", schema, schema["$defs"]))


def up_to_date(page: str) -> str:
    """The page with its tables as the schema has them now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def _table(heading: str, node: Schema, defs: Schema) -> Iterator[str]:
    """One table: its plain keys, then the tables in it."""
    rows, inner = [], []
    for key, value in node["properties"].items():
        path = f"{heading}.{key}" if heading else key
        found = list(_tables_in(path, value, defs))
        inner += found
        if not found:
            rows.append(_row(key, value, key in node.get("required", ()), defs))
    if rows:
        yield f"### {_title(heading, node)}\n"
        yield "| key | value | default | what it says |\n|---|---|---|---|"
        yield "\n".join(rows) + "\n"
    for path, table in _merged(inner):
        yield from _table(path, table, defs)


def _tables_in(path: str, value: Schema, defs: Schema) -> Iterator[tuple[str, Schema]]:
    """The tables that a key holds, with their paths: none for a plain value."""
    if value.get("type") == "array" and _is_table(value["items"], defs):
        for kind in _kinds(value["items"], defs):
            yield f"{path}[]", kind
    elif isinstance(value.get("additionalProperties"), dict):
        yield f"{path}.NAME", _resolved(value["additionalProperties"], defs)
    elif _is_table(value, defs):
        for kind in _kinds(value, defs):
            yield path, kind


def _is_table(value: Schema, defs: Schema) -> bool:
    return all("properties" in kind for kind in _kinds(value, defs))


def _kinds(value: Schema, defs: Schema) -> list[Schema]:
    """The alternatives a value has; most have one."""
    return [_resolved(each, defs) for each in value.get("oneOf", [value])]


def _resolved(value: Schema, defs: Schema) -> Schema:
    found: Schema = defs[value["$ref"].rpartition("/")[2]] if "$ref" in value else value
    return found


def _merged(inner: list[tuple[str, Schema]]) -> Iterator[tuple[str, Schema]]:
    """Tables of one parent with the same keys under different names become one, `parent.NAME`."""
    names: dict[str, list[str]] = {}
    for path, table in inner:
        names.setdefault(json.dumps(table, sort_keys=True), []).append(path)
    done: dict[str, None] = {}
    for path, table in inner:
        same = json.dumps(table, sort_keys=True)
        if same in done:
            continue
        done[same] = None
        parent = path.rpartition(".")[0]
        last = ", ".join(name.rpartition(".")[2] for name in names[same])
        yield (f"{parent}.NAME (NAME is one of {last})" if len(names[same]) > 1 else path), table


def _title(path: str, node: Schema) -> str:
    name, _, note = path.partition(" ")
    if not name:
        return "At the top of the file"
    header = f"[[{name[:-2]}]]" if name.endswith("[]") else f"[{name}]"
    kind = node["properties"].get("kind", {}).get("const")
    which = f' with `kind = "{kind}"`' if kind else ""
    return f"`{header}`{which} {note}".strip()


def _row(key: str, value: Schema, required: bool, defs: Schema) -> str:
    if "const" in value:
        return f'| `{key}` | `"{value["const"]}"` | | {value["description"]} |'
    default = "**required**" if required else _shown(value.get("default"))
    return f"| `{key}` | {_values(value, defs)} | {default} | {_plain(value['description'])} |"


def _shown(default: object) -> str:
    return "" if default is None else f"`{json.dumps(default)}`"


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def _values(value: Schema, defs: Schema) -> str:
    """What a key takes, in words."""
    value = _resolved(value, defs)
    if alternatives := value.get("anyOf", value.get("oneOf")):
        shown = [_values(each, defs) for each in alternatives if each.get("type") != "null"]
        return " or ".join(shown)
    if "enum" in value:
        return ", ".join(f'`"{each}"`' for each in value["enum"])
    if "const" in value:
        return f'`"{value["const"]}"`'
    match value.get("type"):
        case "integer" | "number" as kind:
            return f"{'whole number' if kind == 'integer' else 'number'}{_range(value)}"
        case "array":
            return f"list of: {_values(value['items'], defs)}"
        case "object" if "properties" in value:
            return " ".join(f"`{{ {key} }}`" for key in value["properties"])
        case "object":
            return "table"
        case "boolean":
            return "`true`, `false`"
    examples = value.get("examples", ())
    return f'text such as `"{examples[0]}"`' if examples else "text"


def _range(value: Schema) -> str:
    words = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "to {}",
        "exclusiveMaximum": "below {}",
    }
    said = [text.format(_number(value[key])) for key, text in words.items() if key in value]
    even = " even," if value.get("multipleOf") == 2 else ""
    return f",{even} {' '.join(said)}" if said else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


if __name__ == "__main__":
    PAGE.write_text(up_to_date(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
