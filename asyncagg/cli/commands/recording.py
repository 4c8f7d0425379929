"""A run and its directory on the command line: signals are minded, and how it went is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import typer

from asyncagg.cli import interrupts
from asyncagg.cli.output.plain import answer, complain
from asyncagg.cli.output.summary import summary
from asyncagg.kept_run import KeptRun
from asyncagg.runs.result import INTERRUPTED
from asyncagg.scenario.schema.scenario import Scenario

OK, FAILED = 0, 1
_WAY_OUT = " (--no-expect runs without)"


class Recording(KeptRun):
    """One run in progress, which a signal interrupts and whose files none leaves half written."""

    blames: ClassVar[str] = "internal error:"

    @classmethod
    def new(cls, scenario: Scenario, out: Path | None) -> Self:
        """In a new directory; typer.Exit where a signal has come before there is one."""
        if interrupts.noted():
            raise typer.Exit(interrupts.status())
        return super().new(scenario, out)

    def tell(self, as_json: bool, *, complains: bool = True, way_out: str = _WAY_OUT) -> int:
        """Print how the run went to stdout and what is wrong to stderr, and return the exit status.

        With `complains` false nothing goes to stderr: a log says it there. `way_out` is what helps where only an
        expectation is not met.
        """
        result, path = self.finished.result, self.path
        if interrupts.noted():
            if complains:
                complain([f"{result.name}: {INTERRUPTED}, what there is of the run is in {path}"])
            return interrupts.status()
        if as_json:
            answer((path / "result.json").read_text(encoding="utf-8").splitlines())
        else:
            answer(summary(result, path))
        if result.status == "ok":
            return OK
        if complains:
            unmet = result.reason == result.unmet
            what = f"expectation not met{way_out}" if unmet else "the run failed"
            complain([f"{result.name}: {what}: {result.reason}"])
        return FAILED

    def _play(self, work: Callable[[], object]) -> None:
        try:
            interrupts.release()
            super()._play(work)
        except KeyboardInterrupt:
            interrupts.note()
        finally:
            interrupts.hold()

    def _was_interrupted(self) -> bool:
        return interrupts.noted()
