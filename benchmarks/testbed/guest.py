"""Runs a command on another kernel, one that has netem: Linux as a process (user-mode Linux) over this machine's files.

    python -m benchmarks.testbed.guest pytest -m long tests/engines/hosts/test_namespaces.py

The command is root there, on one processor, in the folder of this project. It can read this machine's files and write
none of them; what it writes is in memory, below $TMPDIR, and gone when it ends. Needs Debian's user-mode-linux and
kmod; `obstacle()` says what is missing. It is for machines whose own kernel has no netem.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.testbed.attendant import ROOT
from benchmarks.testbed.iproute import BedError

_KERNEL = "linux.uml"
_MODULES = Path("/usr/lib/uml/modules")
_MEMORY = "4G"
_LONGEST_SECONDS = 1800.0

_INIT = """\
#!/bin/sh
export PATH={path} HOME=/run/tmp TMPDIR=/run/tmp PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/tmp /run/out /run/modules/lib/modules /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t hostfs -o {out} hostfs /run/out
exec > /run/out/output 2>&1 < /dev/null
ln -s {modules}/$(uname -r) /run/modules/lib/modules/
modprobe -d /run/modules -a veth bridge tun sch_netem sch_tbf
ip link set lo up
cd {root}
{command}
echo $? > /run/out/status
{python} -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'
"""
"""The other kernel's first process; the last line powers off (reboot(2))."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended on the other kernel: exit status, and all that it printed."""

    status: int
    output: str


def obstacle() -> str | None:
    """Why no other kernel can be had here; None if it can."""
    if sys.platform != "linux":
        return "user-mode Linux runs on Linux"
    if os.geteuid() != 0:
        return "not root"
    missing = [name for name in (_KERNEL, "modprobe", "ip", "tc") if shutil.which(name, path=_path()) is None]
    return f"no {', '.join(missing)} (of user-mode-linux, kmod, iproute2)" if missing else None


def run(words: Sequence[str], seconds: float = _LONGEST_SECONDS) -> Ended:
    """Run a command to its end; BedError with what the kernel said if there is none within `seconds`."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        log = _boot(out, words, seconds)
        if not (out / "status").exists():
            raise BedError(f"{words[0]} did not end on another kernel within {seconds:g} s: {_said(out) or log}")
        return Ended(int((out / "status").read_text()), _said(out))


def _boot(out: Path, words: Sequence[str], seconds: float) -> str:
    """Let the kernel run until it powers off, or for as long as it may; what it printed last."""
    init = out / "init"
    init.write_text(
        _INIT.format(
            path=_path(), out=out, modules=_MODULES, root=ROOT, command=shlex.join(words), python=sys.executable
        )
    )
    init.chmod(0o755)
    options = [f"mem={_MEMORY}", "root=/dev/root", "rootfstype=hostfs", "ro", "quiet", f"init={init}"]
    with (out / "kernel").open("wb") as log:
        kernel = subprocess.Popen(
            [shutil.which(_KERNEL, path=_path()) or _KERNEL, *options, "con=null", "con0=null,fd:1"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            kernel.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(kernel.pid, signal.SIGKILL)  # it runs each process of its own in one of ours
            kernel.wait()
    return (out / "kernel").read_text(errors="replace")[-2000:]


def _said(out: Path) -> str:
    return (out / "output").read_text(errors="replace") if (out / "output").exists() else ""


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])


def main() -> int:
    """Run the words of the command line, print what they printed, and return how they ended."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    if reason := obstacle():
        print(f"there is no other kernel here: {reason}", file=sys.stderr)
        return 2
    ended = run(sys.argv[1:])
    print(ended.output, end="")
    return ended.status


if __name__ == "__main__":
    sys.exit(main())
