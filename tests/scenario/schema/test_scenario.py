"""What a scenario is with every default filled in, how it is written and read again, and its JSON Schema."""

import json
import pickle
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from asyncagg.protocols.names import PHASES
from asyncagg.scenario import Scenario, ScenarioError, json_schema, parse
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.values.units import BANDWIDTH, DURATION, SIZE

DEFAULTS = """\
name = "x"
description = ""
seed = 0
rounds = 1
engine = "tcp"
check = true

[owners]
count = 3
per_process = 50

[aggregation]
protocol = "secagg+"
compute_nodes = 3
threat = "curious"
reveal = "compute-nodes"
threshold = "auto"
neighbours = "auto"
corrupt = 0.1
dropout = 0.3
minimum_cohort = 2
batch = 1
corrupt_nodes = 1
weighting = "examples"
max_weight = "auto"
ledger = "warn"
on_failure = "retry"
retries = 2
memory_budget = "1 GiB"
permit_limit = "10 s"

[encoding]
clip = 8.0
bits = 16
rounding = "stochastic"
rounding_draws = "seeded"

[workload]
kind = "digits"
model = "mlp"
hidden = [64]
learning_rate = 0.3
momentum = 0.8
batch_size = 0
partition = "iid"

[network]
latency = "0 s"
jitter = "0 s"
loss = 0.0
rto = "200 ms"
""" + "".join(f'\n[phases.{phase}]\ndeadline = "30 s"\nenough = 1.0\n' for phase in PHASES)

WHOLES = st.integers(1, 1000)
UNITS = st.floats(0, 1)
DURATIONS = st.integers(1, 2**62).map(DURATION.format)
FREE = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


def table(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with any of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


def rounds() -> st.SearchStrategy[Any]:
    spans = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda two: f"{min(two)}-{max(two)}")
    return st.just("all") | st.lists(st.integers(0, 50), min_size=1, max_size=3) | spans


def players(count: int) -> st.SearchStrategy[Any]:
    names = st.lists(st.integers(0, count - 1), unique=True, min_size=1, max_size=3)
    return st.one_of(
        names.map(lambda chosen: [f"data-owner-{index}" for index in chosen]),
        st.fixed_dictionaries({"count": st.integers(0, count)}),
        st.fixed_dictionaries({"fraction": UNITS}),
        st.fixed_dictionaries({"probability": UNITS}),
    )


def latencies() -> st.SearchStrategy[Any]:
    """A duration, or any distribution, up to an hour."""
    short = st.integers(1, 10**9)
    texts = short.map(DURATION.format)
    bounds = st.tuples(short, short).map(
        lambda two: {"low": DURATION.format(min(two)), "high": DURATION.format(max(two))}
    )
    models = st.one_of(
        bounds.map(lambda keys: {"model": "uniform", **keys}),
        bounds.map(lambda keys: {"model": "cubic", **keys, "a": 0.3}),
        st.fixed_dictionaries({"model": st.just("normal"), "mean": texts, "deviation": texts}),
        st.fixed_dictionaries(
            {"model": st.just("lognormal"), "median": texts, "sigma": UNITS}, optional={"min": st.just("1 us")}
        ),
        st.fixed_dictionaries({"model": st.just("exponential"), "mean": texts}, optional={"max": st.just("9 s")}),
        st.fixed_dictionaries({"model": st.just("pareto"), "scale": texts, "alpha": st.floats(0.5, 9)}),
        st.lists(short, min_size=2, max_size=5).map(
            lambda sample: {"model": "empirical", "quantiles": [DURATION.format(each) for each in sorted(sample)]}
        ),
    )
    return texts | models


def links() -> st.SearchStrategy[Any]:
    bandwidth = WHOLES.map(BANDWIDTH.format)
    return table(
        preset=st.sampled_from(["datacenter", "broadband", "mobile-4g", "satellite", "flamingo-2023"]),
        latency=latencies(),
        jitter=st.just("3 ms"),
        bandwidth_up=bandwidth,
        bandwidth_down=bandwidth,
        loss=st.floats(0, 0.9),
        rto=st.just("1 s"),
        queue_limit=st.just("4 MiB"),
    )


def owners(count: int) -> st.SearchStrategy[Any]:
    group = st.fixed_dictionaries({"count": st.integers(1, count // 2)}, optional={"link": st.just("satellite")})
    return st.fixed_dictionaries({"count": st.just(count)}, optional={"groups": st.lists(group, max_size=2)})


EVENTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "slow": {"factor": st.just(2.5), "lasts": DURATIONS},
    "crash": {"lasts": DURATIONS},
    "restart": {"state": st.booleans()},
    "partition": {"peers": st.just(["compute-node-1"]), "lasts": DURATIONS},
    "heal": {},
    "hold": {"peers": st.just(["model-owner"])},
    "release": {},
    "reset": {"peers": st.just(["data-owner-0"])},
    "corrupt": {"frames": WHOLES, "message": st.just("masked-slice")},
}


def event(kind: str, count: int) -> st.SearchStrategy[Any]:
    """A fault other than `drop`, by phase or by time."""
    required: dict[str, st.SearchStrategy[Any]] = {"kind": st.just(kind)}
    if kind not in ("heal", "release", "restart"):
        required["players"] = players(count)
    if kind == "slow":
        required["delay"] = st.just("1 ms")
    by_phase = st.fixed_dictionaries(
        {**required, "phase": st.sampled_from(PHASES)}, optional={"rounds": rounds(), **EVENTS[kind]}
    )
    by_time = st.fixed_dictionaries({**required, "at": DURATIONS}, optional=EVENTS[kind])
    return by_phase | by_time


def availability(count: int) -> st.SearchStrategy[Any]:
    """Owners that are there at times."""
    spans = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)).map(lambda two: f"{two[0]}-{two[0] + two[1]}.25")
    owners = st.integers(0, count - 1).map(lambda index: f"data-owner-{index}")
    return st.fixed_dictionaries(
        {"kind": st.just("availability"), "intervals": st.dictionaries(owners, spans, max_size=3)}
    )


@st.composite
def scenarios(draw: st.DrawFn) -> dict[str, Any]:
    """The values of any sound scenario, with any of its keys left out."""
    count = draw(st.integers(2, 200))
    protocol = draw(st.sampled_from(["plain", "pairwise", "additive", "secagg", "secagg+"]))
    below_one = st.floats(0, 1, exclude_max=True)
    aggregation = table(
        compute_nodes=st.integers(2, 5),
        threat=st.sampled_from(["curious", "lying"]),
        threshold=st.just("auto") | st.integers(1, count),
        neighbours=st.just("auto"),
        corrupt=below_one,
        dropout=below_one,
        minimum_cohort=st.integers(1, count),
        weighting=st.sampled_from(["examples", "uniform"]),
        max_weight=st.just("auto") | st.integers(1, 2**20),
        ledger=st.just("warn"),
        on_failure=st.sampled_from(["retry", "skip", "abort"]),
        retries=st.integers(0, 9),
        memory_budget=st.integers(1, 2**50).map(SIZE.format),
        permit_limit=DURATIONS,
    )
    encoding = table(
        clip=st.floats(1e-6, 1e6),
        bits=st.integers(2, 32),
        rounding=st.sampled_from(["stochastic", "nearest"]),
        rounding_draws=st.sampled_from(["seeded", "system"]),
    )
    digits = table(
        kind=st.just("digits"),
        model=st.sampled_from(["mlp", "logistic"]),
        hidden=st.lists(WHOLES, min_size=1, max_size=3),
        learning_rate=st.floats(1e-9, 1e3),
        batch_size=st.integers(0, 99),
        shares=st.lists(st.floats(0.01, 9), min_size=count, max_size=count),
    )
    synthetic = st.fixed_dictionaries(
        {"kind": st.just("synthetic")}, optional={"dimension": WHOLES.map(lambda d: d + 9)}
    )
    python = st.fixed_dictionaries(
        {"kind": st.just("python"), "owner": st.just("m:Owner"), "model_owner": st.just("a.b:Model")},
        optional={"options": st.dictionaries(st.text(), FREE, max_size=3)},
    )
    drop = st.fixed_dictionaries(
        {"kind": st.just("drop"), "players": players(count), "phase": st.sampled_from(PHASES[:-1])},
        optional={"rounds": rounds()},
    )
    fault = drop | st.one_of(*(event(kind, count) for kind in EVENTS))
    required = {
        "name": st.text(min_size=1, max_size=50),
        "owners": owners(count),
        "aggregation": aggregation.map(lambda keys: {"protocol": protocol, **keys}),
    }
    optional = {
        "description": st.text(),
        "seed": st.integers(0, 2**63 - 1),
        "rounds": WHOLES,
        "engine": st.sampled_from(["sim", "tcp"]),
        "encoding": encoding,
        "workload": st.one_of(digits, synthetic, python),
        "network": links(),
        "links": st.dictionaries(st.text(min_size=1), links(), max_size=2),
        "phases": st.dictionaries(
            st.sampled_from(PHASES), table(deadline=DURATIONS, enough=st.floats(0.01, 1)), max_size=3
        ),
        "faults": st.tuples(st.lists(fault, max_size=3), st.lists(availability(count), max_size=1)).map(
            lambda both: [*both[0], *both[1]]
        ),
        "expect": table(completed=st.booleans(), exact=st.booleans(), survivors_at_least=st.integers(0, count)),
    }
    return draw(st.fixed_dictionaries(required, optional=optional))


def reread(scenario: Scenario, folder: Path) -> Scenario:
    """The scenario as a run directory would give it back."""
    path = folder / "scenario.toml"
    path.write_text(scenario.normalised_toml(), encoding="utf-8")
    return load(path)


def test_the_defaults() -> None:
    assert parse({"name": "x"}).normalised_toml() == DEFAULTS + "\n[expect]\n"


@settings(max_examples=150, deadline=None)
@given(values=scenarios())
def test_whatever_is_written_loads_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    scenario = parse(values)
    again = reread(scenario, tmp_path_factory.getbasetemp())
    assert again == scenario
    assert again.digest() == scenario.digest()
    assert hash(again) == hash(scenario)
    assert again.normalised_toml() == scenario.normalised_toml()
    assert parse(json.loads(json.dumps(scenario.normalised()))) == scenario


JUNK = st.sampled_from(
    [None, True, -1, 0, 1e308, float("nan"), "", "auto", "3", [], [1], [[]], {}, {"a": {}}, {"kind": "x"}]
)


@settings(max_examples=150, deadline=None)
@given(values=scenarios(), data=st.data())
def test_whatever_is_spoilt_is_refused_in_lines(values: dict[str, Any], data: st.DataObject) -> None:
    """Junk anywhere gives a scenario or lines that each name the source; never another exception."""
    for _ in range(data.draw(st.integers(1, 3))):
        node: Any = values
        while True:
            steps = list(node) if isinstance(node, dict) else list(range(len(node)))
            step = data.draw(st.sampled_from([*steps, "junk"] if isinstance(node, dict) else steps))
            inner = node.get(step) if isinstance(node, dict) else node[step]
            if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
                break
            node = inner
        node[step] = deepcopy(data.draw(JUNK))
    refused = mistakes_of(values)
    assert refused is None or refused
    assert all(line.startswith("scenario: ") and line.isprintable() for line in refused or ())


def mistakes_of(values: dict[str, Any]) -> tuple[str, ...] | None:
    try:
        parse(values)
    except ScenarioError as error:
        return error.lines
    return None


def test_paths_survive_a_move_and_the_digest_does_not_depend_on_folders(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for folder in ("one", "two"):
        (tmp_path / folder / "v.npz").touch()
    values = {"name": "x", "workload": {"kind": "vectors", "file": "v.npz"}}
    one, two = (parse(values, base=tmp_path / folder) for folder in ("one", "two"))
    assert reread(one, tmp_path / "two") == one != two
    assert one.digest() == two.digest()
    python = {"name": "x", "workload": {"kind": "python", "owner": "m:O", "model_owner": "m:M"}}
    one, two = (parse(python, base=tmp_path / folder) for folder in ("one", "two"))
    again = reread(one, tmp_path / "two")
    assert again == one != two
    assert again.base == one.base == tmp_path / "one"
    assert one.digest() == two.digest()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"name": "y"}, True),
        ({"description": "y"}, True),
        ({"engine": "sim"}, True),
        ({"check": False}, True),
        ({"expect": {"completed": True}}, True),
        ({"owners": {"count": 3}}, True),
        ({"network": {"latency": "0 ms"}}, True),
        ({"encoding": {"clip": 8}}, True),
        ({"seed": 1}, False),
        ({"rounds": 2}, False),
        ({"owners": {"count": 4}}, False),
        ({"aggregation": {"protocol": "plain"}}, False),
        ({"encoding": {"clip": 8.5}}, False),
        ({"workload": {"learning_rate": 0.1}}, False),
        ({"network": {"latency": "1 ms"}}, False),
        ({"phases": {"upload": {"deadline": "31 s"}}}, False),
        ({"faults": [{"kind": "drop", "players": {"count": 0}, "phase": "upload"}]}, False),
    ],
)
def test_the_digest_is_of_what_players_act_on(change: dict[str, Any], same: bool) -> None:
    digest = parse({"name": "x"} | change).digest()
    assert len(digest) == 32
    assert (digest == parse({"name": "x"}).digest()) is same


def test_phases_go_by_name_and_are_seven() -> None:
    phases = parse({"name": "x", "phases": {"share": {"deadline": "5 s", "enough": 0.5}}}).phases
    assert (phases["share"].deadline_ns, phases["share"].enough) == (5_000_000_000, 0.5)
    assert {phases[name].deadline_ns for name in PHASES if name != "share"} == {30_000_000_000}
    for name in ("model_config", "compute"):
        with pytest.raises(KeyError):
            phases[name]


def test_what_follows_from_other_keys_is_filled_in() -> None:
    additive = parse({"name": "x", "aggregation": {"protocol": "additive", "reveal": "compute-nodes"}})
    assert additive.aggregation.reveal == "model-owner"
    lying = parse({"name": "x", "aggregation": {"threat": "lying"}})
    assert lying.aggregation.batch == "auto"
    assert parse({"name": "x", "aggregation": {"threat": "lying", "batch": 1}}).aggregation.batch == 1


def test_a_scenario_is_frozen_and_travels_between_processes() -> None:
    scenario = parse({"name": "x"}, source="here")
    with pytest.raises(ValidationError, match="frozen"):
        scenario.seed = 3  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(scenario))  # noqa: S301 - our own bytes
    assert copy == scenario
    with pytest.raises(ScenarioError, match="here: seed: is odd"):
        copy.refuse("seed", "is odd")
    error = pickle.loads(pickle.dumps(ScenarioError(["a", "b"])))  # noqa: S301 - our own bytes
    assert error.lines == ("a", "b")


def test_settings_of_a_workload_are_what_the_file_says() -> None:
    def settings_of(**workload: Any) -> dict[str, Any]:
        return parse({"name": "x", "workload": workload}).workload.settings()

    assert settings_of() == {
        "model": "mlp",
        "hidden": [64],
        "learning_rate": 0.3,
        "momentum": 0.8,
    }
    assert settings_of(batch_size=8, shares=[1, 2, 3])["batch_size"] == 8
    assert settings_of(shares=[1, 2, 3])["shares"] == [1.0, 2.0, 3.0]
    assert settings_of(kind="synthetic") == {"dimension": 1000}
    python = {"owner": "m:O", "model_owner": "m:M", "options": {"a": [1]}}
    assert settings_of(kind="python", **python) == python


def test_the_json_schema_documents_every_key() -> None:
    schema = json_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert list(schema["properties"])[:2] == ["name", "extends"]
    assert schema["required"] == ["name"]
    for where, key, node in properties(schema):
        assert node.get("description"), f"{where}.{key}"
    for definition in schema["$defs"].values():
        assert definition["additionalProperties"] is False
    aggregation = schema["$defs"]["Aggregation"]["properties"]
    assert aggregation["permit_limit"]["default"] == "10 s"
    assert aggregation["memory_budget"]["type"] == "string"
    assert schema["$defs"]["DropFault"]["properties"]["rounds"]["default"] == "all"
    schema.clear()
    assert json_schema()


def test_the_json_schema_has_an_editor_find_what_check_finds() -> None:
    """Units, phases, players, classes: whatever is text and no free text has a pattern or its choices."""
    free = {"name", "extends", "description", "path", "file", "link", "message"}
    schema = json_schema()
    unchecked = {
        f"{where}.{key}"
        for where, key, node in properties(schema)
        for text in texts(node)
        if key not in free and not {"pattern", "enum", "const"} & text.keys()
    }
    assert unchecked == set()
    assert schema["$defs"]["Phases"]["additionalProperties"] is False
    drop = schema["$defs"]["DropFault"]["properties"]
    assert "upload" in drop["phase"]["enum"]
    (names,) = (each for each in drop["players"]["oneOf"] if each.get("type") == "array")
    assert re.search(names["items"]["pattern"], "data-owner-12")
    assert not re.search(names["items"]["pattern"], "data-owner12")


def texts(node: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema that describes text."""
    match node:
        case {"type": "string"}:
            yield node
        case dict():
            for key, inner in node.items():
                yield from texts(inner) if key not in ("default", "propertyNames") else ()
        case list():
            for inner in node:
                yield from texts(inner)


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every key of every table."""
    for name, node in {"": schema, **schema["$defs"]}.items():
        for key, inner in node["properties"].items():
            yield name, key, inner


def test_the_json_schema_says_the_defaults_that_hold() -> None:
    written = tomllib.loads(DEFAULTS)
    schema = json_schema()
    for key, table_of in {"aggregation": "Aggregation", "encoding": "Encoding", "network": "LinkTable"}.items():
        said = {name: node.get("default") for name, node in schema["$defs"][table_of]["properties"].items()}
        assert {name: default for name, default in said.items() if default is not None} == written[key]
