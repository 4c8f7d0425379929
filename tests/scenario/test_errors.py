"""Every kind of mistake, with the exact line that a user reads."""

from pathlib import Path
from typing import Any

import pytest

from asyncagg.scenario import ScenarioError, parse
from asyncagg.scenario.reading.load import load


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names of files, so that lines are the same everywhere."""
    monkeypatch.chdir(tmp_path)


def lines(text: str, *overrides: str, name: str = "a.toml") -> list[str]:
    """What a user reads about a file with this text; it must have mistakes."""
    Path(name).write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(name, overrides)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return list(caught.value.lines)


ONE_KEY = [
    ("seed = -1", "seed: is -1 (a whole number from 0 to 9223372036854775807)"),
    ("seed = 1.0", "seed: is 1.0 (a whole number from 0 to 9223372036854775807)"),
    ("rounds = 0", "rounds: is 0 (a whole number from 1 to 1000000)"),
    ('rounds = "3"', 'rounds: is "3" (a whole number from 1 to 1000000)'),
    (f"rounds = {2**130}", "rounds: is a number of 131 bits (a whole number from 1 to 1000000)"),
    ("rounds = true", "rounds: is true (a whole number from 1 to 1000000)"),
    ("description = 2024-01-01", "description: is a date (text)"),
    ('engine = "tpc"', 'engine: is "tpc" (did you mean "tcp"?)'),
    ('engine = "cloud"', 'engine: is "cloud" (one of "sim", "tcp", "processes", "hosts")'),
    ("check = 1", "check: is 1 (true or false)"),
    ("owners = 3", "owners: is 3 (a table)"),
    ("owners.count = -3", "owners.count: is -3 (a whole number from 1 to 1000000)"),
    ("owners.count = 3.0", "owners.count: is 3.0 (a whole number from 1 to 1000000)"),
    ("owners.per_round = 0", "owners.per_round: is 0 (a whole number of 1 or more)"),
    ("owners.conut = 3", 'owners.conut: is not a known key (did you mean "count"?)'),
    ("owners.colour = 3",
     "owners.colour: is not a known key (the keys here are count, per_round, per_process, link, device, groups)"),
    ("sed = 1", 'sed: is not a known key (did you mean "seed"?)'),
    ("treshold = 3", 'treshold: is not a known key (did you mean "aggregation.threshold"?)'),
    ("hidden = [3]", 'hidden: is not a known key (did you mean "workload.hidden"?)'),
    ('"two\\nlines" = 1',
     '"two\\nlines": is not a known key (the keys here are name, extends, description, seed, rounds, engine, '
     "check, owners, aggregation, encoding, workload, network, links, phases, compute, faults, trace, expect)"),
    ('aggregation.protocol = "pair-wise"', 'aggregation.protocol: is "pair-wise" (did you mean "pairwise"?)'),
    ('aggregation.protocol = "x"',
     'aggregation.protocol: is "x" (one of "plain", "pairwise", "additive", "secagg", "secagg+")'),
    ("aggregation.compute_nodes = 0", "aggregation.compute_nodes: is 0 (a whole number from 1 to 1000)"),
    ("aggregation.threshold = 0", 'aggregation.threshold: is 0 ("auto" or a whole number of 1 or more)'),
    ("aggregation.threshold = true",
     'aggregation.threshold: is true ("auto" or a whole number of 1 or more)'),
    ('aggregation.threshold = "max"',
     'aggregation.threshold: is "max" ("auto" or a whole number of 1 or more)'),
    ("aggregation.neighbours = 3", 'aggregation.neighbours: is 3 ("auto" or an even number of 2 or more)'),
    ("aggregation.corrupt = 1", "aggregation.corrupt: is 1 (a number from 0 to below 1)"),
    ("aggregation.corrupt = true", "aggregation.corrupt: is true (a number from 0 to below 1)"),
    ("aggregation.dropout = -0.1", "aggregation.dropout: is -0.1 (a number from 0 to below 1)"),
    ("aggregation.dropout = nan", "aggregation.dropout: is nan (a number from 0 to below 1)"),
    ("aggregation.ledger = 'strict'",
     'aggregation.ledger: is "strict" '
     '(use batch = "auto": strict ledgers of owners cannot see each other\'s sets)'),
    ("aggregation.ledger = 'none'", 'aggregation.ledger: is "none" ("warn")'),
    ("aggregation.retries = -1", "aggregation.retries: is -1 (a whole number from 0 to 1000)"),
    ('aggregation.memory_budget = "1 GiBi"',
     'aggregation.memory_budget: is "1 GiBi": there is no unit "GiBi" '
     "(one of B, kB, KiB, MB, MiB, GB, GiB, TB, TiB)"),
    ("aggregation.permit_limit = 10",
     'aggregation.permit_limit: is 10, a number without a unit (a duration such as "40 ms")'),
    ("encoding.clip = 0", "encoding.clip: is 0 (a number above 0, at most 1e+30)"),
    ("encoding.clip = -8.0", "encoding.clip: is -8.0 (a number above 0, at most 1e+30)"),
    ("encoding.clip = inf", "encoding.clip: is inf (a number above 0, at most 1e+30)"),
    ("encoding.clip = 1e-300", "encoding.clip: is 1e-300 (at least 1e-30)"),
    ("encoding.bits = 1", "encoding.bits: is 1 (a whole number from 2 to 32)"),
    ("encoding.bits = 33", "encoding.bits: is 33 (a whole number from 2 to 32)"),
    ('workload.kind = "digit"', 'workload.kind: is "digit" (did you mean "digits"?)'),
    ("workload.kind = 3", 'workload.kind: is 3 (one of "digits", "given", "python", "synthetic", "vectors")'),
    ("workload = 3", "workload: is 3 (what the owners hold and what is learnt)"),
    ("workload.dimension = 3",
     'workload.dimension: is a key of kind "synthetic" (the kind here is "digits")'),
    ("workload.hidden = []", "workload.hidden: is empty (at least one element)"),
    ("workload.hidden = 64", "workload.hidden: is 64 (a list, not empty)"),
    ("workload.hidden = [0]", "workload.hidden.0: is 0 (a whole number from 1 to 2147483647)"),
    ("workload.hidden = [64, 0]", "workload.hidden.1: is 0 (a whole number from 1 to 2147483647)"),
    ("workload.hidden = [10_000_000_000]",
     "workload.hidden.0: is 10000000000 (a whole number from 1 to 2147483647)"),
    (f"workload.hidden = [{'1,' * 1001}]", "workload.hidden: has 1001 elements (at most 1000)"),
    ("workload = { kind = 'synthetic', dimension = 99999999999999999999999 }",
     "workload.dimension: is 99999999999999999999999 (a whole number from 1 to 2147483647)"),
    ("workload.batch_size = -1", "workload.batch_size: is -1 (a whole number of 0 or more)"),
    ("workload.learning_rate = 0.0", "workload.learning_rate: is 0.0 (a number above 0, at most 1e+30)"),
    ("workload.learning_rate = 1e308", "workload.learning_rate: is 1e+308 (a number above 0, at most 1e+30)"),
    ("workload.momentum = 1.0", "workload.momentum: is 1.0 (a number from 0 to below 1)"),
    ("workload.shares = [1.0, 0.0, 1.0]", "workload.shares.1: is 0.0 (a number above 0)"),
    ("workload.shares = [1, 2]", "workload.shares: has 2 shares for 3 owners (one for each)"),
    ('workload = { kind = "vectors" }',
     "workload.file: is missing (.npz with `vectors` (owners × d or rounds × owners × d) and perhaps "
     "`weights` (owners,))"),
    ('network.latency = "40"', 'network.latency: is "40" (a duration such as "40 ms")'),
    ("network.latency = { model = 1 }",
     'network.latency.model: is 1 (one of "cubic", "empirical", "exponential", "lognormal", "normal", "pareto", '
     '"uniform")'),
    ('network.latency = { median = "40 ms" }',
     'network.latency.model: is missing (one of "cubic", "empirical", "exponential", "lognormal", "normal", "pareto", '
     '"uniform")'),
    ('network.latency = { model = "uniform", low = "2 ms", high = "1 ms" }',
     "network.latency: is out of range (a latency needs 0 <= low <= high <= 1 hour)"),
    ('network.latency = { model = "exponential", mean = "2 ms", sigma = 1 }',
     'network.latency.sigma: is a key of model "lognormal" (the model here is "exponential")'),
    ('network.latency = { model = "empirical", quantiles = ["2 ms", 3] }',
     'network.latency.quantiles.1: is 3, a number without a unit (a duration such as "40 ms")'),
    ('network.latency = { model = "empirical", file = 3 }', "network.latency.file: is 3 (a path)"),
    ('network.latency = "2 h"', "network: is out of range (a latency needs 0 <= ns <= 1 hour)"),
    ('network.rto = "61 s"', "network: is out of range (a link's rto_ns must be more than 0 and at most 60 s)"),
    ("network.loss = 1", "network.loss: is 1 (a number from 0 to below 1)"),
    ('network.preset = "satelite"', 'network.preset: is "satelite" (did you mean "satellite"?)'),
    ('network.bandwidth_up = "10 MB"',
     'network.bandwidth_up: is "10 MB": there is no unit "MB" (one of bit, kbit, Mbit, Gbit, Tbit)'),
    ('links.a.latency = 3', 'links.a.latency: is 3, a number without a unit (a duration such as "40 ms")'),
    ("links.broadband.loss = 0.1", "links.broadband: is the name of a preset (another name)"),
    ('owners.link = "broadbend"', 'owners.link: is "broadbend", which is no link (did you mean "broadband"?)'),
    ("owners.groups = [{ count = 0 }]", "owners.groups.0.count: is 0 (a whole number of 1 or more)"),
    ("owners.groups = [{ count = 9 }]", "owners.groups: has 9 owners, but there are 3 owners (at most 3)"),
    ("phases.uplaod = {}", 'phases.uplaod: is not a known key (did you mean "upload"?)'),
    ('phases.upload.deadline = "0 s"',
     'phases.upload.deadline: is "0 s" (a duration above zero, such as "40 ms")'),
    ("phases.upload.enough = 0", "phases.upload.enough: is 0 (a number above 0, at most 1)"),
    ("faults = {}", "faults: is a table (a list of tables, [[faults]])"),
    ("expect.accuracy_at_least = 1.5", "expect.accuracy_at_least: is 1.5 (a number from 0 to 1)"),
    ("expect.survivors_at_least = 4",
     "expect.survivors_at_least: is 4, but a round has 3 owners (at most 3)"),
    ("owners.per_round = 4", "owners.per_round: is 4, but there are 3 owners (at most 3)"),
    ("aggregation.threshold = 4", "aggregation.threshold: is 4, but a round has 3 owners (at most 3)"),
    ("aggregation.neighbours = 4", "aggregation.neighbours: is 4, but a round has 3 owners (at most 2)"),
    ("aggregation.minimum_cohort = 4",
     "aggregation.minimum_cohort: is 4, but a round has 3 owners (at most 3)"),
    ("aggregation.max_weight = 100_000_000_000_000",
     "aggregation.max_weight: is 100000000000000: 3 owners of that weight at 16 bits a value need a ring of "
     "65 bits (at most 64: a smaller weight or fewer bits)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), ONE_KEY)
def test_one_key(text: str, line: str) -> None:
    assert lines(f'name = "x"\n\n{text}\n') == [f"a.toml:3: {line}"]


@pytest.mark.parametrize(("text", "line"), [one for one in ONE_KEY if '"two' not in one[0]])
def test_an_override_names_itself_and_not_the_file(text: str, line: str) -> None:
    override = text.replace(" = ", "=", 1)
    assert lines('name = "x"\n', override) == [f"--set {override}: {line}"]


PLAYERS = "a list of names, or { count = 2 }, { fraction = 0.3 } or { probability = 0.1 }"
ROUNDS = '"all", a list such as [0, 2], or a span such as "3-5"; the first round is 0'
FAULT = '[[faults]]\nkind = "drop"\nphase = "upload"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (FAULT, f"2: faults.0.players: is missing ({PLAYERS})"),
        (f"{FAULT}players = 2", f"5: faults.0.players: is 2 ({PLAYERS})"),
        (f"{FAULT}players = {{}}", f"5: faults.0.players: is a table ({PLAYERS})"),
        (f"{FAULT}players = {{ frac = 1 }}",
         '5: faults.0.players.frac: is not a known key (did you mean "fraction"?)'),
        (f"{FAULT}players = {{ count = 1, fraction = 0.5 }}",
         "5: faults.0.players.fraction: cannot stand beside count (one of the two)"),
        (f"{FAULT}players = {{ count = -1 }}",
         "5: faults.0.players.count: is -1 (a whole number of 0 or more)"),
        (f"{FAULT}players = {{ count = 4 }}",
         "5: faults.0.players.count: is 4, but a round has 3 owners (at most 3)"),
        (f"{FAULT}players = {{ fraction = 30 }}",
         "5: faults.0.players.fraction: is 30 (a number from 0 to 1)"),
        (f"{FAULT}players = {{ probability = 1.1 }}",
         "5: faults.0.players.probability: is 1.1 (a number from 0 to 1)"),
        (f"{FAULT}players = [\n'data-owner-1',\n'data-owner-3']",
         '7: faults.0.players.1: is "data-owner-3", which is no data owner of this scenario '
         "(data-owner-0, data-owner-1, data-owner-2)"),
        (f"{FAULT}players = ['data-owner-01']",
         '5: faults.0.players.0: is "data-owner-01", which is no data owner of this scenario '
         "(data-owner-0, data-owner-1, data-owner-2)"),
        (f"{FAULT}players = ['compute-node-0']",
         '5: faults.0.players.0: is "compute-node-0", which is no data owner of this scenario '
         "(data-owner-0, data-owner-1, data-owner-2)"),
        (f"{FAULT}players = ['data-owner-1', 'data-owner-1']",
         '5: faults.0.players.1: is "data-owner-1" a second time (each player once)'),
        (f"{FAULT}players = [1]", "5: faults.0.players.0: is 1 (text)"),
        (f"{FAULT}players = []", "5: faults.0.players: is empty (at least one element)"),
        (f"{FAULT}players = {{ count = 1 }}\nrounds = []", f"6: faults.0.rounds: is empty ({ROUNDS})"),
        ("[[faults]]\nkind = 'partition'\nplayers = { count = 1 }\nat = '1 s'\npeers = []",
         "6: faults.0.peers: is empty (at least one element)"),
        (f"{FAULT}players = ['data-owner-0']\nrounds = 'some'", f'6: faults.0.rounds: is "some" ({ROUNDS})'),
        (f"{FAULT}players = ['data-owner-0']\nrounds = 3", f"6: faults.0.rounds: is 3 ({ROUNDS})"),
        (f"{FAULT}players = ['data-owner-0']\nrounds = [0, -1]",
         "6: faults.0.rounds.1: is -1 (the number of a round, from 0)"),
        (f"{FAULT}players = ['data-owner-0']\nrounds = [true]",
         "6: faults.0.rounds.0: is true (the number of a round, from 0)"),
        (f"{FAULT}players = ['data-owner-0']\nrounds = '5-3'",
         f'6: faults.0.rounds: is "5-3", which ends before it starts ({ROUNDS})'),
        ("[[faults]]\nkind = 'dorp'\nplayers = ['data-owner-0']\nphase = 'upload'",
         '3: faults.0.kind: is "dorp" (did you mean "drop"?)'),
        ("[[faults]]\nkind = 'crash'\nplayers = ['data-owner-0']",
         "2: faults.0.phase: is missing (a phase, or a time: at)"),
        ("[[faults]]\nkind = 'crash'\nplayers = ['data-owner-0']\nat = '1 s'\nphase = 'upload'",
         "6: faults.0.phase: cannot stand beside at (one of the two)"),
        ("[[faults]]\nkind = 'crash'\nplayers = ['data-owner-0']\nat = '1 s'\nrounds = '1-2'",
         "6: faults.0.rounds: cannot stand beside at (one of the two)"),
        ("[[faults]]\nkind = 'crash'\nplayers = ['compute-node-3']\nat = '1 s'",
         '4: faults.0.players.0: is "compute-node-3", which is no player that it can strike '
         "(data-owner-0 to model-owner)"),
        ("[[faults]]\nkind = 'restart'\nplayers = ['model-owner']\nat = '1 s'",
         '4: faults.0.players.0: is "model-owner", which is no player that it can strike '
         "(data-owner-0 to compute-node-2)"),
        ("[[faults]]\nkind = 'slow'\nplayers = ['data-owner-0']\nat = '1 s'",
         "2: faults.0.factor: is 1, and there is no delay (a factor above 1, or a delay)"),
        ("[[faults]]\nkind = 'crash'\nplayers = { count = 1, correlated_by = 'group' }\nat = '1 s'",
         '4: faults.0.players.correlated_by: is "group", but there are none ([[owners.groups]])'),
        ("[[faults]]\nkind = 'drop'\nplayers = ['data-owner-0']\nphase = 'reveal'",
         '5: faults.0.phase: is "reveal" '
         '(one of "publish", "advertise", "share", "upload", "certify", "unmask")'),
    ],
)  # fmt: skip
def test_faults(text: str, line: str) -> None:
    assert lines(f'name = "x"\n{text}\n') == [f"a.toml:{line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('protocol = "pairwise"\nreveal = "model-owner"',
         '4: aggregation.reveal: is "model-owner", but with pairwise the masks cancel in the compute '
         "nodes' own sum "
         '("compute-nodes"; or additive, secagg or secagg+)'),
        ('protocol = "plain"\nreveal = "model-owner"',
         '4: aggregation.reveal: is "model-owner", but with plain nothing is hidden from the compute nodes '
         '("compute-nodes"; or additive, secagg or secagg+)'),
        ('compute_nodes = 1\nprotocol = "additive"',
         "3: aggregation.compute_nodes: is 1, but additive splits every vector among compute nodes "
         "(2 or more)"),
        ('protocol = "additive"\ncorrupt_nodes = 3',
         "4: aggregation.corrupt_nodes: is 3 of 3, but additive needs one honest node (at most 2)"),
        ('compute_nodes = 5\n[workload]\nkind = "synthetic"\ndimension = 4',
         "3: aggregation.compute_nodes: is 5, but a vector has 4 coordinates (at most one node for each)"),
    ],
)  # fmt: skip
def test_keys_of_the_aggregation_that_do_not_go_together(text: str, line: str) -> None:
    assert lines(f'name = "x"\n[aggregation]\n{text}\n') == [f"a.toml:{line}"]


def test_on_hosts_nobody_repeats_the_rounding_of_inputs_against_a_lying_lead() -> None:
    text = 'name = "x"\nengine = "hosts"\n[aggregation]\nthreat = "lying"\n[encoding]\nrounding_draws = "seeded"\n'
    assert lines(text) == [
        'a.toml:6: encoding.rounding_draws: is "seeded": on hosts a lying lead could tell single inputs below one '
        'quantum from the sums of many attempts ("system")'
    ]
    for harmless in ("encoding.rounding='nearest'", "aggregation.threat='curious'", "engine='tcp'"):
        load("a.toml", [harmless])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("check = false\nexpect.exact = true",
         "3: expect.exact: cannot be told without the harness (check = true)"),
        ("workload.kind = 'synthetic'\nexpect.accuracy_at_least = 0.9",
         "3: expect.accuracy_at_least: is never measured by the workload synthetic (digits or python)"),
        ("workload.kind = 'python'\nworkload.owner = 'mine'\nworkload.model_owner = 'a.b:C'",
         '3: workload.owner: is "mine" ("module:Class")'),
        ("[workload]\nkind = 'python'\nowner = 'a:B'\nmodel_owner = 'a:C'\noptions = { when = 1979-05-27 }",
         "6: workload.options.when: is a date (text, a number, true or false, a list or a table)"),
        ("[workload]\nkind = 'python'\nowner = 'a:B'\nmodel_owner = 'a:C'\noptions = { a = [0.0,\nnan] }",
         "7: workload.options.a.1: is nan (a finite number)"),
        ("[workload]\nkind = 'python'\nowner = 'a:B'\nmodel_owner = 'a:C'\noptions = 3",
         "6: workload.options: is 3 (a table)"),
        ("workload.kind = 'vectors'\nworkload.file = 3", "3: workload.file: is 3 (a path)"),
    ],
)  # fmt: skip
def test_other_keys_together(text: str, line: str) -> None:
    assert lines(f'name = "x"\n{text}\n') == [f"a.toml:{line}"]


def test_a_data_file_that_is_missing(tmp_path: Path) -> None:
    text = 'name = "x"\nworkload = { kind = "vectors", file = "data/v.npz" }\n'
    where = tmp_path / "data" / "v.npz"
    right = f"workload.file: there is no file {where} (a path relative to the scenario's folder)"
    assert lines(text) == [f"a.toml:2: {right}"]


def test_a_module_folder_that_is_missing(tmp_path: Path) -> None:
    text = 'name = "x"\nworkload = { kind = "python", owner = "a:B", model_owner = "a:C", path = "no" }\n'
    right = f"workload.path: there is no folder {tmp_path / 'no'} (a path relative to the scenario's folder)"
    assert lines(text) == [f"a.toml:2: {right}"]


def test_every_mistake_at_once_in_the_order_of_the_file() -> None:
    text = """\
seeed = 1
[aggregation]
corrupt = 2
minimum_cohort = 5
[owners]
cuont = 3
[workload]
kind = "vectors"
"""
    assert lines(text, "rounds=0", "nothing", "engine=simm") == [
        "a.toml:1: name: is missing (what the experiment is called)",
        'a.toml:1: seeed: is not a known key (did you mean "seed"?)',
        "a.toml:3: aggregation.corrupt: is 2 (a number from 0 to below 1)",
        "a.toml:4: aggregation.minimum_cohort: is 5, but a round has 3 owners (at most 3)",
        'a.toml:6: owners.cuont: is not a known key (did you mean "count"?)',
        "a.toml:7: workload.file: is missing (.npz with `vectors` (owners × d or rounds × owners × d) and "
        "perhaps `weights` (owners,))",
        "--set rounds=0: rounds: is 0 (a whole number from 1 to 1000000)",
        '--set engine=simm: engine: is "simm" (did you mean "sim"?)',
        "--set nothing: there is no value (key.path=value)",
    ]


def test_beside_faults_that_are_wrong_the_others_are_looked_at() -> None:
    text = """\
name = "x"
[owners]
count = 5
device = "toaster"
[expect]
survivors_at_least = 9
[[faults]]
kind = "drop"
players = ["data-owner-7"]
phase = "upload"
rounds = "5-3"
[[faults]]
kind = "dorp"
[[faults]]
kind = "crash"
players = { count = 50 }
[[faults]]
kind = "slow"
phase = "upload"
"""
    assert lines(text) == [
        'a.toml:4: owners.device: is "toaster" (one of "phone", "laptop", "server")',
        "a.toml:6: expect.survivors_at_least: is 9, but a round has 5 owners (at most 5)",
        'a.toml:9: faults.0.players.0: is "data-owner-7", which is no data owner of this scenario '
        "(data-owner-0 to data-owner-4)",
        f'a.toml:11: faults.0.rounds: is "5-3", which ends before it starts ({ROUNDS})',
        'a.toml:13: faults.1.kind: is "dorp" (did you mean "drop"?)',
        "a.toml:14: faults.2.phase: is missing (a phase, or a time: at)",
        "a.toml:16: faults.2.players.count: is 50, but a round has 5 owners (at most 5)",
        f"a.toml:17: faults.3.players: is missing ({PLAYERS})",
        "a.toml:17: faults.3.factor: is 1, and there is no delay (a factor above 1, or a delay)",
    ]


CRASH = "[[faults]]\nkind = 'crash'\nplayers = ['compute-node-7']\nat = '1 s'"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[owners]\ncount = '5'\n[aggregation]\nminimum_cohort = 4",
         '3: owners.count: is "5" (a whole number from 1 to 1000000)'),
        (f"[aggregation]\ncompute_nodes = 0\n{CRASH}",
         "3: aggregation.compute_nodes: is 0 (a whole number from 1 to 1000)"),
        ("[[faults]]\nkind = 'crash'\nplayers = { count = 1 }\nat = 3",
         '5: faults.0.at: is 3, a number without a unit (a duration such as "40 ms")'),
        ("[[faults]]\nkind = 'slow'\nplayers = { count = 1 }\nphase = 'upload'\ndelay = 3",
         '6: faults.0.delay: is 3, a number without a unit (a duration such as "40 ms")'),
        ("[[owners.groups]]\ncount = 0\n"
         "[[faults]]\nkind = 'drop'\nplayers = { count = 1, correlated_by = 'group' }\nphase = 'upload'",
         "3: owners.groups.0.count: is 0 (a whole number of 1 or more)"),
        ("[workload]\nkind = 'digts'\nshares = [1, 2]", '3: workload.kind: is "digts" (did you mean "digits"?)'),
    ],
)  # fmt: skip
def test_what_depends_on_a_wrong_key_is_not_complained_about(text: str, line: str) -> None:
    """Five owners, or none: what fits them nobody knows yet."""
    assert lines(f'name = "x"\n{text}') == [f"a.toml:{line}"]


def test_an_override_that_spoils_what_the_file_says_is_named() -> None:
    assert lines('name = "x"\n[aggregation]\nminimum_cohort = 3', "owners.count=2") == [
        "--set owners.count=2: aggregation.minimum_cohort: is 3, but a round has 2 owners (at most 2)"
    ]


NINES = "9" * 5000


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("nothing", "there is no value (key.path=value)"),
        ("=3", "an empty key (key.path=value)"),
        ("owners.=3", "owners: an empty key (key.path=value)"),
        ("a..b=3", "a: an empty key (key.path=value)"),
        ("owners.groups.0.count=3",
         'owners.groups: there is no element "0" to change, as nothing gives this list '
         "(the whole list, owners.groups=[…])"),
        ("rounds.x=3", 'rounds: is 2 and holds no key "x" (a table or a list)'),
        ("faults.1.phase=share", 'faults: is a list without an element "1" (an index from 0 to 0)'),
        ("faults.-1.phase=share", 'faults: is a list without an element "-1" (an index from 0 to 0)'),
        ("faults.0.players.1=x", 'faults.0.players: is a list without an element "1" (an index from 0 to 0)'),
        (f"faults.{NINES}=1", f'faults: is a list without an element "{NINES}" (an index from 0 to 0)'),
        (f"workload.options{'.a' * 5000}=1", "is nested too deeply (tables and lists within a few others)"),
        (f"seed={'[' * 40}{']' * 40}", "is nested too deeply (tables and lists within a few others)"),
        ("extends=b.toml", "extends: cannot be overridden (a key of the file)"),
    ],
)  # fmt: skip
def test_overrides_that_cannot_be(override: str, line: str) -> None:
    text = f'name = "x"\nrounds = 2\n{FAULT}players = ["data-owner-0"]\n'
    assert lines(text, override) == [f"--set {override}: {line}"]


def test_an_override_stays_on_one_line() -> None:
    (line,) = lines('name = "x"\n', "engine=a\nb")
    assert line == '--set "engine=a\\nb": engine: is "a\\nb" (one of "sim", "tcp", "processes", "hosts")'


def test_changes_by_keyword_name_themselves() -> None:
    Path("a.toml").write_text('name = "x"\n')
    with pytest.raises(ScenarioError) as caught:
        load("a.toml", engine="simm", seed=None)
    assert caught.value.lines == ('engine=simm: engine: is "simm" (did you mean "sim"?)',)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb =\n", ":2: is not TOML: Invalid value (key = value)"),
        (b"a = 1\na = 2\n", ":2: is not TOML: Cannot overwrite a value (key = value)"),
        (b"name: x\nrounds: 3\n", ":1: is not TOML: it seems to be YAML (TOML or JSON)"),
        (b"# mine\n---\n- 1\n", ":2: is not TOML: it seems to be YAML (TOML or JSON)"),
        (b'\n{"name": "x"}\n', ":2: is not TOML: it seems to be JSON (a file whose name ends in .json)"),
        (b"a = 'x", ":1: is not TOML: Expected \"'\" (key = value)"),
        (b"a = 1\n\nb = \"x\xff\"", ":3: is not UTF-8: the byte 0xff (UTF-8 text)"),
        (b"a = " + b"[" * 100_000, ": is nested too deeply (tables and lists within a few others)"),
        (b"a = " + b"[" * 300 + b"]" * 300, ": is nested too deeply (tables and lists within a few others)"),
    ],
)  # fmt: skip
def test_files_that_are_not_toml(content: bytes, line: str) -> None:
    Path("a.toml").write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load("a.toml")
    assert caught.value.lines == (f"a.toml{line}",)


def test_a_number_of_too_many_digits() -> None:
    (line,) = lines(f"a = {NINES}")
    assert line.startswith("a.toml: is not TOML: Exceeds the limit (4300 digits) for integer string")
    (line,) = lines(f'{{"a": {NINES}}}', name="a.json")
    assert line.startswith("a.json: is not JSON: Exceeds the limit (4300 digits) for integer string")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"name": "x",\n}', "a.json:2: is not JSON: Expecting property name enclosed in double quotes"),
        ('{"name": "x",\n "seed": 1,\n "seed": 2}', "a.json:3: seed: is given twice (once)"),
        ("[1]", "a.json:1: holds a list (a table of keys)"),
        ('{\n"name":\n null}', "a.json:2: name: is null (text, not empty, of at most 200 letters)"),
        ('{"name": "x", "owners":\n {"count": NaN}}',
         "a.json:2: owners.count: is nan (a whole number from 1 to 1000000)"),
        ('{\n"name":\n "\\ud800"}', 'a.json:2: name: is "\\ud800" (text, not empty, of at most 200 letters)'),
        ('{"name": "x", "workload": {"kind": "python", "owner": "m:O", "model_owner": "m:M",\n'
         ' "options": {"a":\n {"b": [1,\n "\\ud800"]}}}}',
         'a.json:4: workload.options.a.b.1: is or holds "\\ud800" (text in Unicode)'),
        ("[" * 100_000, "a.json: is nested too deeply (tables and lists within a few others)"),
    ],
)  # fmt: skip
def test_json(text: str, line: str) -> None:
    assert lines(text, name="a.json") == [line]


def test_files_that_cannot_be_read() -> None:
    Path("folder.toml").mkdir()
    Path("run").mkdir()
    for name in ("a.toml", "result.json", "scenario.toml"):
        Path("run", name).touch()
    for path, line in {
        "no.toml": "no.toml: there is no such file (the path of a scenario)",
        "folder.toml": "folder.toml: is a folder (the path of a scenario)",
        "run": "run: is a folder (a file in it, such as run/scenario.toml)",
        "a\0b": "a\0b: cannot be read: embedded null byte (a file)",
    }.items():
        with pytest.raises(ScenarioError) as caught:
            load(path)
        assert caught.value.lines == (line,)


@pytest.mark.parametrize(
    ("extends", "line"),
    [
        ('"no.toml"', "extends: there is no file no.toml (a path relative to this file)"),
        ('""', 'extends: is "" (the path of another scenario)'),
        ("3", "extends: is 3 (the path of another scenario)"),
        ('"a.toml"', "extends: comes back to where it started, a.toml -> a.toml (a chain that ends)"),
        (
            '"./sub/../a.toml"',
            "extends: comes back to where it started, a.toml -> a.toml (a chain that ends)",
        ),
    ],
)
def test_extends(extends: str, line: str) -> None:
    assert lines(f'name = "x"\nextends = {extends}\n') == [f"a.toml:2: {line}"]


def test_extends_in_a_loop_of_three() -> None:
    Path("b.toml").write_text('extends = "c.toml"')
    Path("c.toml").write_text('seed = 1\nextends = "a.toml"')
    assert lines('extends = "b.toml"') == [
        "c.toml:2: extends: comes back to where it started, a.toml -> b.toml -> c.toml -> a.toml (a chain that ends)"
    ]


def test_a_mistake_in_a_base_names_the_base() -> None:
    Path("bases").mkdir()
    Path("bases/b.toml").write_text('name = "b"\nrounds = 0\n[owners]\ncount = 0\n')
    assert lines('extends = "bases/b.toml"\n[owners]\ncount = 3\nper_round = 4') == [
        "bases/b.toml:2: rounds: is 0 (a whole number from 1 to 1000000)",
        "a.toml:4: owners.per_round: is 4, but there are 3 owners (at most 3)",
    ]


def test_parse_refuses_what_no_file_could_hold() -> None:
    values: Any = {"name": "x", 1: 2, "owners": {3: 4}, "rounds": b""}
    with pytest.raises(ScenarioError) as caught:
        parse(values)
    assert caught.value.lines == (
        "scenario: rounds: is a bytes (a whole number from 1 to 1000000)",
        "scenario: owners.3: is a key that is not text (text)",
        "scenario: 1: is a key that is not text (text)",
    )


def test_parse_names_its_source() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse({"rounds": 0}, source="swarm seed 7")
    assert caught.value.lines == (
        "swarm seed 7: name: is missing (what the experiment is called)",
        "swarm seed 7: rounds: is 0 (a whole number from 1 to 1000000)",
    )


def test_a_mistake_that_comes_out_later_has_its_line_too() -> None:
    Path("a.toml").write_text('name = "x"\n[workload]\nkind = "digits"\nhidden = [3,\n4]\n')
    scenario = load("a.toml", ["owners.count=2"])
    for key, where in {
        "workload.hidden.1": "a.toml:5",
        "workload.shares": "a.toml:2",
        "owners.count": "--set owners.count=2",
        "network": "a.toml:1",
    }.items():
        with pytest.raises(ScenarioError) as caught:
            scenario.refuse(key, "is wrong (right)")
        assert caught.value.lines == (f"{where}: {key}: is wrong (right)",)
