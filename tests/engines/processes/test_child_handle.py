"""How a process that ended is spoken of."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from asyncagg.engines.processes.child_handle import ChildHandle

REAL_TIME = signal.SIGRTMIN + 1


def ended(last_deed: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", f"import os, signal, sys; {last_deed}"])


@pytest.mark.asyncio(loop_factories=["real"])
@pytest.mark.parametrize(
    ("last_deed", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        (f"os.kill(os.getpid(), {REAL_TIME})", f"was ended by signal {REAL_TIME}"),
        ("sys.exit(3)", "ended with status 3: the last word (see "),
        ("sys.exit(0)", "ended with status 0"),
    ],
)
async def test_every_end_of_a_process_has_words(tmp_path, last_deed, words):
    offspring = ChildHandle(["data-owner-0"], tmp_path)
    (tmp_path / "data-owner-0.log").write_text("the last word\n")
    offspring._process = ended(last_deed)
    assert (await offspring._reap()).startswith(words)
