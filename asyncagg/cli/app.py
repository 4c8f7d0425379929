"""The commands and their options. Each imports what it needs when it is called: `--help` answers at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from asyncagg.cli.commands.folders import folder
from asyncagg.cli.commands.numbers import decimal, more, whole
from asyncagg.cli.commands.options import (
    LARGEST,
    AsJson,
    Engine,
    MaybeScenario,
    NewRun,
    Overrides,
    Quiet,
    ScenarioFile,
    Seed,
    examples,
    scenario_names,
)
from asyncagg.cli.output.plain import PlainGroup, answer
from asyncagg.version import __version__

app = typer.Typer(
    cls=PlainGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Secure aggregation for federated learning that people can run, break and measure.",
    epilog=examples("asyncagg run digits", "asyncagg new mine"),
)

MOST_COORDINATES = 10**12
"""Of a vector in a plan: four terabytes, more than any machine sums."""

NoExpect = Annotated[
    bool, typer.Option("--no-expect", help="An expectation that is not met fails no run: the result says which.")
]


class Threat(StrEnum):
    """The lead's assumed power."""

    CURIOUS = "curious"
    LYING = "lying"


class Reveal(StrEnum):
    """Players that may see the sum first."""

    COMPUTE_NODES = "compute-nodes"
    MODEL_OWNER = "model-owner"


def _version(wanted: bool) -> None:
    if wanted:
        answer([f"asyncagg {__version__}"])
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Secure aggregation for federated learning that people can run, break and measure."""


@app.command(
    epilog=examples("asyncagg run digits --engine processes", "asyncagg run mine.toml --set rounds=5 --out runs/mine")
)
def run(
    scenario: MaybeScenario = None,
    engine: Engine = None,
    seed: Seed = None,
    out: NewRun = None,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN_DIR", help="In place of a scenario: go on with a run that was interrupted."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(parser=more, metavar="+N", help="With --resume: add so many rounds to a finished run."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    no_expect: NoExpect = False,
) -> None:
    """Run a scenario and write its run directory."""
    from asyncagg.cli.commands.run import RunRequest, resume_run, run_scenario

    if resume is not None:
        if scenario is not None or engine is not None or seed is not None or out is not None or overrides:
            raise typer.BadParameter("goes with no SCENARIO, --engine, --seed, --out or --set", param_hint="--resume")
        raise typer.Exit(resume_run(resume, rounds or 0, as_json, quiet, no_expect))
    if rounds is not None:
        raise typer.BadParameter("goes with --resume (a new run: --set rounds=N)", param_hint="--rounds")
    if scenario is None:
        raise typer.BadParameter("is missing (a scenario, or --resume RUN_DIR)", param_hint="SCENARIO")
    request = RunRequest(scenario, tuple(overrides or ()), engine, seed, out, as_json, quiet, no_expect)
    raise typer.Exit(run_scenario(request))


@app.command(epilog=examples("asyncagg demo", "asyncagg demo --owners 50 --drop"))
def demo(
    owners: Annotated[
        int | None,
        typer.Option(parser=whole(3, 500), metavar="N", help="Data owners.", show_default="3, with --drop 5"),
    ] = None,
    rounds: Annotated[
        int, typer.Option(parser=whole(1, 1000), metavar="N", help="How often the model is improved.")
    ] = 20,
    drop: Annotated[bool, typer.Option("--drop", help="In some rounds a fifth of the owners vanish.")] = False,
    out: NewRun = None,
    as_json: AsJson = False,
    port: Annotated[
        int | None,
        typer.Option(
            parser=whole(0, 65535), metavar="P", help="Of the live page. There is no page yet: it changes nothing."
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no page. There is no page yet: it changes nothing.")
    ] = False,
) -> None:
    """Watch processes of this machine train a model together."""
    from asyncagg.cli.demo.command import DemoRequest, run_demo

    raise typer.Exit(run_demo(DemoRequest(owners, rounds, drop, out, as_json)))


@app.command(epilog=examples("asyncagg check digits", "asyncagg check mine.toml --set aggregation.threat=lying --json"))
def check(
    scenario: ScenarioFile,
    engine: Engine = None,
    seed: Seed = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Validate a scenario; say its defaults and who can open an input."""
    from asyncagg.cli.commands.check import check_scenario

    check_scenario(scenario, tuple(overrides or ()), as_json, engine=engine, seed=seed)


@app.command(epilog=examples("asyncagg schema > scenario.schema.json", "asyncagg schema | less"))
def schema() -> None:
    """Print the JSON Schema of a scenario."""
    import json

    from asyncagg.scenario.schema.scenario import json_schema

    answer(json.dumps(json_schema(), indent=2).splitlines())


@app.command(
    epilog=examples(
        "asyncagg plan --owners 100",
        "asyncagg plan --owners 1000 --threat lying --batch auto",
    )
)
def plan(
    owners: Annotated[
        int, typer.Option(parser=whole(1, 1_000_000), metavar="N", help="Data owners in a round.", show_default=False)
    ],
    corrupt: Annotated[str, typer.Option(metavar="G", help="Fraction that may collude with the lead.")] = "0.1",
    dropout: Annotated[str, typer.Option(metavar="D", help="Fraction that may drop and be recovered from.")] = "0.3",
    threat: Annotated[Threat, typer.Option(help="The lead's assumed power.")] = Threat.CURIOUS,
    dimension: Annotated[
        int,
        typer.Option(
            "--dimension", "-d", parser=whole(1, MOST_COORDINATES), metavar="d", help="Coordinates of a vector."
        ),
    ] = 1_000_000,
    bits: Annotated[int, typer.Option(parser=whole(2, 32), metavar="B", help="Of a value, before summing.")] = 16,
    protocol: Annotated[str, typer.Option(metavar="NAME", help="Who says what to whom.")] = "secagg+",
    reveal: Annotated[Reveal, typer.Option(help="Who sees the sum first.")] = Reveal.COMPUTE_NODES,
    compute_nodes: Annotated[
        int, typer.Option(parser=whole(1, 1000), metavar="M", help="Players that add masked vectors.")
    ] = 3,
    max_weight: Annotated[
        int, typer.Option(parser=whole(1, LARGEST), metavar="W", help="Bound on an owner's weight.")
    ] = 1,
    parameter_bytes: Annotated[
        int | None,
        typer.Option(
            parser=whole(0, LARGEST),
            metavar="BYTES",
            help="What is published each round.",
            show_default="4 a coordinate",
        ),
    ] = None,
    batch: Annotated[str, typer.Option(metavar="auto|T", help="Owners that are only added up together.")] = "1",
    per_round: Annotated[
        int | None, typer.Option(parser=whole(1, LARGEST), metavar="N", help="Owners of a round.", show_default="all")
    ] = None,
    rounds: Annotated[int, typer.Option(parser=whole(1, 1_000_000), metavar="R", help="Rounds of the run.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Say parameters and cost of a round before running anything."""
    from asyncagg.cli.commands.plan import Question, batch_of, plan_round, protocol_of

    question = Question(
        owners,
        corrupt,
        dropout,
        threat.value,
        dimension,
        bits,
        protocol_of(protocol),
        reveal.value,
        compute_nodes,
        max_weight,
        4 * dimension if parameter_bytes is None else parameter_bytes,
        batch_of(batch),
        per_round,
        rounds,
    )
    raise typer.Exit(plan_round(question, as_json))


@app.command(epilog=examples("asyncagg verify runs/digits-0-1", "asyncagg verify runs/digits-0-1 --json"))
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A finished run.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Run a run again and compare.

    A sim run is compared record by record, any other by survivors and means.
    """
    from asyncagg.cli.commands.verify import verify_run

    raise typer.Exit(verify_run(run, as_json))


@app.command(epilog=examples("asyncagg report runs/digits-0-1", "asyncagg report runs/digits-0-1 --graph flow.svg"))
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="What runs have left.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page.", show_default="report.html in RUN_DIR"),
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="The data-flow graph as a file, and no page.", show_default=False),
    ] = None,
) -> None:
    """Write the page of a run, which opens offline.

    It shows what was said, who saw what, and what took the time. Several runs are compared on stdout too.
    """
    from asyncagg.cli.commands.report import ReportRequest
    from asyncagg.cli.commands.report import report as write_report

    if len(runs) > 1 and (out is not None or graph is not None):
        raise typer.BadParameter("goes with one RUN_DIR", param_hint="--out and --graph")
    write_report(ReportRequest(runs, out, graph))


@app.command(
    epilog=examples(
        "asyncagg explain secagg --drop upload", "asyncagg explain additive --coalition compute-node-0 -o round.html"
    )
)
def explain(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="Of those that are installed.")] = "secagg",
    drop: Annotated[
        str | None, typer.Option(metavar="PHASE", help="The last owner says nothing from this phase on.")
    ] = None,
    owners: Annotated[int, typer.Option(parser=whole(3, 5), metavar="N", help="Data owners, 3 to 5.")] = 4,
    threat: Annotated[Threat, typer.Option(help="The lead's assumed power.")] = Threat.CURIOUS,
    coalition: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Who puts together what it has.", show_default="all compute nodes"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.html", help="A page instead.", show_default=False)
    ] = None,
) -> None:
    """Work a small round, with every number of it.

    It shows each mask, who holds what, what a dropped owner leaves behind, and what a coalition has.
    """
    from asyncagg.cli.commands.explain import ExplainRequest, phase_of
    from asyncagg.cli.commands.explain import explain as explain_round

    explain_round(ExplainRequest(protocol, owners, phase_of(drop), threat.value, coalition, out))


@app.command(epilog=examples("asyncagg calibrate", "asyncagg calibrate mine.toml --json"))
def calibrate(
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO",
            help="For the price of its gradient.",
            show_default=False,
            autocompletion=scenario_names,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure this machine and print the [compute] table."""
    from asyncagg.cli.commands.calibrate import calibrate_machine

    calibrate_machine(scenario, as_json)


@app.command(
    epilog=examples(
        "asyncagg keys --config config.json --out keys",
        "asyncagg keys --config config.json --out keys --days 30",
    )
)
def keys(
    config: Annotated[
        str, typer.Option(metavar="CONFIG", help="config.json: who is where, an entry a process.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(parser=folder, metavar="DIR", help="The folder of keys, a new one.", show_default=False)
    ],
    days: Annotated[
        int, typer.Option(parser=whole(1, 36_500), metavar="DAYS", help="How long certificates are good.")
    ] = 365,
    batch: Annotated[
        str, typer.Option(metavar="auto|T", help="Cut the data owners into batches, for good; 1: do not.")
    ] = "1",
    corrupt: Annotated[str, typer.Option(metavar="FRACTION", help="Of owners that may collude, for auto.")] = "0.1",
    evictions: Annotated[
        int, typer.Option(parser=whole(0, 1000), metavar="E", help="Owners of a batch that may be evicted, for auto.")
    ] = 0,
    new_epoch: Annotated[bool, typer.Option("--new-epoch", help="Cut owners anew that have been cut already.")] = False,
) -> None:
    """Make identities and TLS certificates for every player."""
    from asyncagg.cli.commands.keys import KeysRequest, make_keys

    make_keys(KeysRequest(config, out, days, batch, corrupt, evictions, new_epoch))


class LogForm(StrEnum):
    """Form of the log of a process that serves."""

    TEXT = "text"
    JSON = "json"


@app.command(
    epilog=examples(
        "asyncagg serve compute-node-0 mine.toml --config config.json",
        "asyncagg serve data-owner-0..49 mine.toml --config config.json",
    )
)
def serve(
    player: Annotated[
        str,
        typer.Argument(
            metavar="PLAYER", help="model-owner, compute-node-0, or data-owner-0..49 as one.", show_default=False
        ),
    ],
    scenario: ScenarioFile,
    config: Annotated[
        str, typer.Option(metavar="CONFIG", help="config.json: who is where, the same everywhere.", show_default=False)
    ],
    overrides: Overrides = None,
    seed: Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=folder,
            metavar="DIR",
            help="The run directory, a new one (model owner); where accounts are kept (data owners).",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Model owner: go on with a run that was interrupted.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What asyncagg keys made.", show_default='"keys" in CONFIG')
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST[:PORT]", help="Listen there.", show_default="the address in CONFIG"),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Plain TCP; the result says so.")] = False,
    wait: Annotated[
        float,
        typer.Option(parser=decimal(0.1, 86_400), metavar="SECONDS", help="How long to wait for the others."),
    ] = 60,
    log: Annotated[LogForm, typer.Option(help="Form of the log on stderr.")] = LogForm.TEXT,
    metrics: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Answer /metrics and /health there.", show_default=False)
    ] = None,
    no_expect: NoExpect = False,
) -> None:
    """Serve a player, or a range of data owners, of a run on hosts."""
    from asyncagg.cli.commands.serve import ServeRequest
    from asyncagg.cli.commands.serve import serve as serve_player

    request = ServeRequest(
        player,
        config,
        scenario,
        tuple(overrides or ()),
        seed,
        out,
        resume,
        keys,
        insecure,
        wait,
        log.value,
        metrics,
        listen,
        no_expect,
    )
    raise typer.Exit(serve_player(request))


@app.command(epilog=examples("asyncagg scenarios", "asyncagg scenarios diurnal -o mine.toml"))
def scenarios(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Print this one.", show_default=False, autocompletion=scenario_names),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Copy it to this file, a new one.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the included scenarios; print or copy one.

    Every command that takes a scenario finds them by name too.
    """
    from asyncagg.cli.commands.scenarios import list_scenarios, show_scenario

    if name is not None:
        show_scenario(name, out, as_json)
    elif out is not None:
        raise typer.BadParameter("wants the NAME of a scenario", param_hint="--out")
    else:
        list_scenarios(as_json)


@app.command(epilog=examples("asyncagg new mine", "asyncagg new my-study"))
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The folder, a new one.", show_default=False)],
) -> None:
    """Make a folder to start from: a scenario, own code and its test."""
    from asyncagg.cli.commands.new import new_folder

    new_folder(name)
