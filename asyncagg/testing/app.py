"""The commands of `python -m asyncagg.testing` and their options. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import typer

from asyncagg.cli.commands.folders import folder
from asyncagg.cli.commands.numbers import whole
from asyncagg.cli.output.plain import PlainGroup
from asyncagg.testing.names import PROGRAM


class TestCommands(PlainGroup):
    """The group of these commands."""

    program: ClassVar[str] = PROGRAM


app = typer.Typer(
    cls=TestCommands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Test protocols: many drawn scenarios, or every order of events of a small one.",
)


@app.callback()
def options() -> None:
    """Test protocols: many drawn scenarios, or every order of events of a small one."""


@app.command()
def swarm(
    seeds: Annotated[str, typer.Option(metavar="A..B", help="First and last seed.", show_default=False)],
    protocol: Annotated[str | None, typer.Option(metavar="NAME", help="Of this protocol only.")] = None,
    out: Annotated[Path, typer.Option(parser=folder, metavar="DIR", help="Where shrunken scenarios go.")] = Path(
        "swarm"
    ),
) -> None:
    """Play scenarios drawn from seeds in sim; say which break an invariant, and shrink them."""
    from asyncagg.testing.commands.swarm import swarm as play_swarm

    raise typer.Exit(play_swarm(seeds, out, protocol))


@app.command()
def explore(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario, TOML or JSON.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Set a key of the scenario; repeatable.")
    ] = None,
    faults: Annotated[
        int, typer.Option(parser=whole(0, 3), metavar="N", help="What may go wrong in one run, at most.")
    ] = 1,
    states: Annotated[
        int, typer.Option(parser=whole(1, 10**9), metavar="N", help="Stop after so many states.")
    ] = 1_000_000,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where a violation is written.")] = Path("violation.json"),
) -> None:
    """Play the first attempt of a small scenario in every order of events; say what breaks an invariant."""
    from asyncagg.testing.commands.explore import explore_scenario

    raise typer.Exit(explore_scenario(scenario, tuple(overrides or ()), faults, states, out))


@app.command()
def replay(
    violation: Annotated[Path, typer.Argument(metavar="FILE", help="What explore wrote.", show_default=False)],
) -> None:
    """Go the steps of a violation again, and say whether it is still one."""
    from asyncagg.testing.commands.explore import replay_file

    raise typer.Exit(replay_file(violation))
