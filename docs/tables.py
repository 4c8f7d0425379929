"""The tables in the pages that the code knows better: keys, scenarios that come along, what a round costs.

`python docs/tables.py` brings them up to date. They stand between marks; the rest of the pages is written by hand. A
test says when they have fallen behind.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from asyncagg.cli.app import app
from asyncagg.protocols.parameters.batch_size import auto_batch, covering_dropout, expected_share
from asyncagg.scenario.schema.scenario import json_schema

DOCS = Path(__file__).parent
SHIPPED = DOCS.parent / "scenarios"
ROUND = "--owners 100 --dimension 100000"
"""The round whose costs are compared."""

POPULATIONS = (12, 50, 100, 200, 1000, 10_000)
CORRUPT = (1, 5, 10, 20)
"""Per cent."""
SIZES = (3, 8, 13, 17)
LOSSES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)

Schema = dict[str, Any]


def up_to_date() -> dict[Path, str]:
    """Every page that has tables, as it would be with those of now."""
    scenarios, choosing = DOCS / "scenarios.md", DOCS / "choosing.md"
    return {
        scenarios: _with(scenarios, keys=keys(), shipped=shipped()),
        choosing: _with(
            choosing,
            costs=costs(),
            thresholds=thresholds(),
            **{"batch sizes": batch_sizes(), "batch shares": batch_shares()},
        ),
    }


def batch_sizes() -> str:
    """T that `auto` takes, by owners and the part of them that may be corrupt."""
    head = [f"| owners | {' | '.join(f'corrupt = {share / 100:g}' for share in CORRUPT)} |", "|---" * 5 + "|"]
    rows = [
        f"| {count} | {' | '.join(str(auto_batch(count, -(-count * share // 100))) for share in CORRUPT)} |"
        for count in POPULATIONS
    ]
    return "\n".join([*head, *rows])


def batch_shares() -> str:
    """Expected share of owners in a sum, (1 − d)^T, and the dropout that covers what a round of 1,000 usually loses."""
    head = [f"| T | {' | '.join(f'd = {loss:.1%}' for loss in LOSSES)} | dropout at d = 1 % |", "|---" * 8 + "|"]
    rows = [
        f"| {size} | {' | '.join(f'{expected_share(size, loss):.3f}' for loss in LOSSES)} "
        f"| {covering_dropout(1000, size, 0.01)} |"
        for size in SIZES
    ]
    return "\n".join([*head, *rows])


def _with(page: Path, **tables: str) -> str:
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{table}\n{end}{rest.partition(end)[2]}"
    return text


# -- what a round costs --------------------------------------------------------------------------------------------


def costs() -> str:
    """One row for each protocol, and for what makes secagg and secagg+ dearer."""
    rows = [
        f"| `asyncagg plan {ROUND}` and | sent | received | agreements | masks | masks to remove | with 30 gone |",
        "|---|---|---|---|---|---|---|",
    ]
    for protocol in ("plain", "pairwise", "additive", "secagg", "secagg+"):
        rows.append(_cost(f"--protocol {protocol}"))
    for protocol in ("secagg", "secagg+"):
        rows += [_cost(f"--protocol {protocol} --threat lying"), _cost(f"--protocol {protocol} --reveal model-owner")]
    return "\n".join(rows) + "\n"


def _cost(options: str) -> str:
    found = _plan(f"{ROUND} {options}")
    sent, received = (f"{found['owner_bytes'][way]:,}" for way in ("sent", "received"))
    agreements, masks = found["key_agreements"]["each_owner"], found["mask_expansions"]["each_owner"]
    whole, gone = (_removed(each["mask_expansions"]) for each in (found, found["with_dropouts"]))
    return f"| `{options}` | {sent} | {received} | {agreements} | {masks} | {whole:,} | {gone:,} |"


def _removed(expansions: dict[str, int]) -> int:
    return expansions["compute_nodes"] + expansions["model_owner"]


def thresholds() -> str:
    """k and t for some numbers of owners."""
    rows = [
        "| owners | `secagg`, curious | `secagg`, lying | `secagg+`, curious | `secagg+`, lying |",
        "|---|---|---|---|---|",
    ]
    for owners in (60, 100, 300, 1000):
        cells = [
            _pair(_plan(f"--owners {owners} --protocol {protocol} --threat {threat}"))
            for protocol in ("secagg", "secagg+")
            for threat in ("curious", "lying")
        ]
        rows.append(f"| {owners} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _pair(found: dict[str, Any]) -> str:
    return f"{found['neighbours']}, {found['threshold']}"


def _plan(options: str) -> dict[str, Any]:
    """What `asyncagg plan` says."""
    done = CliRunner().invoke(app, ["plan", *options.split(), "--json"])
    if done.exit_code:
        raise SystemExit(f"asyncagg plan {options}: {done.output}{done.exception}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- scenarios -----------------------------------------------------------------------------------------------------


def keys() -> str:
    """For every table of a scenario its heading and one row a key."""
    schema = json_schema()
    return "\n".join(_table([""], schema, schema["$defs"]))


def shipped() -> str:
    """One row for every scenario in `scenarios/`, with its own description."""
    rows = ["| scenario | what it shows |", "|---|---|"]
    for path in sorted(SHIPPED.glob("*.toml")):
        said = tomllib.loads(path.read_text(encoding="utf-8")).get("description", "")
        rows.append(f"| `scenarios/{path.name}` | {_plain(' '.join(said.split()))} |")
    return "\n".join(rows) + "\n"


def _table(paths: list[str], node: Schema, defs: Schema) -> Iterator[str]:
    """One table, at every path where it may stand: its plain keys, then the tables in it."""
    rows, inner = [], []
    for key, value in node["properties"].items():
        found = [place for path in paths for place in _tables_in(f"{path}.{key}".lstrip("."), value, defs)]
        inner += found
        if not found or "discriminator" in json.dumps(value.get("oneOf", [])):
            rows.append(_row(key, value, key in node.get("required", ()), defs))
    if rows:
        yield f"### {_title(paths, node)}\n"
        yield "| key | value | default | what it says |\n|---|---|---|---|"
        yield "\n".join(rows) + "\n"
    for places, table in _merged(inner):
        yield from _table(places, table, defs)


def _tables_in(path: str, value: Schema, defs: Schema) -> Iterator[tuple[str, Schema]]:
    """The tables that a key may hold, with their paths: none for a plain value."""
    if value.get("type") == "array":
        yield from ((f"{path}[]", kind) for kind in _kinds(value["items"], defs) if "properties" in kind)
    elif isinstance(named := value.get("additionalProperties"), dict):
        yield from ((f"{path}.NAME", kind) for kind in [_resolved(named, defs)] if "properties" in kind)
    else:
        yield from ((path, kind) for kind in _kinds(value, defs) if "properties" in kind and _is_table(kind, value))


def _is_table(kind: Schema, value: Schema) -> bool:
    """Not one of the short forms that stand in a row of their own, such as `{ count }`."""
    return _tag(kind) is not None or "oneOf" not in value


def _kinds(value: Schema, defs: Schema) -> list[Schema]:
    """The alternatives a value has, also those within alternatives; most have one."""
    value = _resolved(value, defs)
    if "oneOf" not in value:
        return [value]
    return [kind for each in value["oneOf"] for kind in _kinds(each, defs)]


def _resolved(value: Schema, defs: Schema) -> Schema:
    found: Schema = defs[value["$ref"].rpartition("/")[2]] if "$ref" in value else value
    return found


def _merged(inner: list[tuple[str, Schema]]) -> Iterator[tuple[list[str], Schema]]:
    """Each table once, with all the paths where it may stand."""
    places: dict[str, tuple[list[str], Schema]] = {}
    for path, table in inner:
        places.setdefault(json.dumps(table), ([], table))[0].append(path)
    yield from places.values()


def _tag(node: Schema) -> tuple[str, str] | None:
    """The key that tells this table from others that may stand in its place, and its value."""
    tags = [(key, value["const"]) for key, value in node["properties"].items() if "const" in value]
    return tags[0] if tags else None


def _title(paths: list[str], node: Schema) -> str:
    if paths == [""]:
        return "At the top of the file"
    headers = " and ".join(f"`[[{path[:-2]}]]`" if path.endswith("[]") else f"`[{path}]`" for path in paths)
    if len(paths) > 2:
        parent, names = paths[0].rpartition(".")[0], ", ".join(path.rpartition(".")[2] for path in paths)
        headers = f"`[{parent}.NAME]` (NAME is one of {names})"
    tag = _tag(node)
    return headers if tag is None else f'{headers} with `{tag[0]} = "{tag[1]}"`'


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
    if "discriminator" in value:
        return f"table with `{value['discriminator']['propertyName']}`, see below"
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
            return f"`{{ {', '.join(value['properties'])} }}`"
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
    for page, text in up_to_date().items():
        page.write_text(text, encoding="utf-8")
