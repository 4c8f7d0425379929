"""Options that several commands take, each with one form and one help; and the examples below a command's help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncagg.cli.commands.folders import folder
from asyncagg.cli.commands.numbers import whole

LARGEST = 2**63 - 1

SCENARIO_HELP = "A scenario, TOML or JSON, or the name of an included one."


def scenario_names(incomplete: str) -> list[str]:
    """Return, for a shell, included scenarios that begin so; files are completed where there is none."""
    from asyncagg.scenario import shipped

    return [name for name in shipped.names() if name.startswith(incomplete)]


_SCENARIO = typer.Argument(metavar="SCENARIO", help=SCENARIO_HELP, show_default=False, autocompletion=scenario_names)
ScenarioFile = Annotated[str, _SCENARIO]
MaybeScenario = Annotated[str | None, _SCENARIO]
Engine = Annotated[str | None, typer.Option(metavar="ENGINE", help="sim, tcp or processes; wins over the scenario's.")]
Seed = Annotated[int | None, typer.Option(parser=whole(0, LARGEST), metavar="N", help="Wins over the scenario's.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Set a key of the scenario; repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]
NewRun = Annotated[
    Path | None,
    typer.Option(
        "--out",
        parser=folder,
        metavar="DIR",
        help="The run directory, a new one.",
        show_default="runs/<name>-<seed>-<n>",
    ),
]


def examples(*commands: str) -> str:
    """The end of a command's help, each example on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
