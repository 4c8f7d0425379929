"""A process that serves a testbed for as long as its maker lives: it ends when the pipe to its standard input does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.testbed.iproute import BedError

ROOT = Path(__file__).resolve().parents[2]
_END_SECONDS = 5.0


@contextmanager
def attendant(
    module: str, *arguments: str, before: Sequence[str] = (), devices: Sequence[int] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a module of this package until the context ends; it is ready when the context begins.

    before: words of a command that runs it; devices: file descriptors that it inherits. BedError if it does not begin,
    or ends with a complaint.
    """
    process = subprocess.Popen(
        [*before, sys.executable, "-m", f"benchmarks.testbed.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=devices,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,  # a Ctrl-C is for its maker, which then ends it
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise BedError(f"{module} did not begin: {_end(process)}")
        yield process
    finally:
        complaint = _end(process)
    if process.returncode:
        raise BedError(f"{module} failed: {complaint}")


def _end(process: subprocess.Popen[str]) -> str:
    """End it, and hear what it said last."""
    if process.stdin is None or process.stdin.closed:
        return ""
    try:
        return process.communicate(timeout=_END_SECONDS)[1].strip()
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[1].strip()
