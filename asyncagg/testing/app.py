"""The commands of `python -m asyncagg.testing` and their options. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import typer

from asyncagg.cli.commands.folders import folder
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
    from asyncagg.testing.swarm import swarm as play_swarm

    raise typer.Exit(play_swarm(seeds, out, protocol))
