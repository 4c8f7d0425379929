"""Namespaces by name: made, removed with whatever runs in them, and swept up after makers that died.

A name holds its maker's process id and the time that process was started, so that nobody takes a living maker's
namespaces for leftovers, nor leftovers for those of a later process that was given the same id.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

_FOLDER = Path("/run/netns")
_OURS = re.compile(r"asyncagg-bed-(?P<pid>\d+)-(?P<started>\d+)-")
_KILL_SECONDS = 5.0


class BedError(RuntimeError):
    """The testbed could not be built; the text says what went wrong."""


def ip(*arguments: str) -> str:
    """Run `ip`; its standard output."""
    return command("ip", *arguments)


def command(*words: str, given: str | None = None) -> str:
    """Run a command to its end, with `given` on its standard input; BedError with its complaint if it fails."""
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BedError(f"{' '.join(words)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def batch(namespace: str, lines: Iterable[str]) -> None:
    """Run many lines of `ip` within a namespace."""
    command("ip", "-n", namespace, "-batch", "-", given="".join(f"{line}\n" for line in lines))


def write(namespace: str, file: Path, content: str) -> None:
    """Write a file of /proc as a process within a namespace sees it."""
    command("ip", "netns", "exec", namespace, "tee", str(file), given=content)


def prefix(number: int) -> str:
    """What the names of this process's namespaces begin with, for its bed of that number."""
    return f"asyncagg-bed-{os.getpid()}-{_started(os.getpid())}-{number}-"


def add(name: str) -> None:
    """Make a namespace, its loopback up."""
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")


def remove(name: str) -> None:
    """Kill what runs in a namespace and delete it, if it is there."""
    deadline = time.monotonic() + _KILL_SECONDS
    while pids := processes(name):
        if time.monotonic() > deadline:
            raise BedError(f"{name}: processes {pids} do not end")
        for pid in pids:
            _kill(pid)
        time.sleep(0.01)
    if (_FOLDER / name).exists():
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)  # or another sweep was first
    if (_FOLDER / name).exists():
        raise BedError(f"{name}: the namespace cannot be deleted")


def processes(name: str) -> list[int]:
    """The ids of what runs in a namespace; none if there is no such namespace."""
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


def sweep() -> list[str]:
    """Remove the namespaces of makers that are no more; their names."""
    left = [name for name in names() if (match := _OURS.match(name)) and not _is_at_work(match)]
    for name in left:
        remove(name)
    return left


def names() -> list[str]:
    """All namespaces that have a name, whoever made them."""
    return sorted(entry.name for entry in _FOLDER.iterdir()) if _FOLDER.is_dir() else []


def lives(pid: int) -> bool:
    """Whether there is such a process, not yet ended."""
    return _started(pid) is not None


def _is_at_work(maker: re.Match[str]) -> bool:
    return _started(int(maker["pid"])) == int(maker["started"])


def _started(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot: field 22 of its stat (proc(5)); None if it is dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything; the state, field 3, comes first
    return None if fields[0] == "Z" else int(fields[19])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
