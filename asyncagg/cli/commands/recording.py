"""A run and its directory on the command line: signals are minded, and how it went is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from asyncagg.cli import interrupts
from asyncagg.cli.output.plain import answer, complain
from asyncagg.cli.output.summary import summary
from asyncagg.engines.recording import KeptRun
from asyncagg.runs.result import INTERRUPTED

OK, FAILED = 0, 1


class Recording(KeptRun):
    """One run in progress, which a signal interrupts and whose files none leaves half written."""

    blames: ClassVar[str] = "internal error:"

    def tell(self, as_json: bool, *, complains: bool = True) -> int:
        """How it went, on stdout, and what is wrong on stderr, unless a log says that there; the exit status."""
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
            complain([f"{result.name}: the run failed: {result.reason}"])
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
