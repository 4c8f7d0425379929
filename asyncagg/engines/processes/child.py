"""One process of a run that spans several on this machine: `python -m asyncagg.engines.processes.child NAME LINE`.

Standard input is the pipe by which the child ends with its parent (`die_with_parent`), watched before anything heavy is
imported; LINE is the descriptor of the control line (`child_run`).
"""

from __future__ import annotations

import signal
import socket
import sys

from asyncagg.engines.processes import die_with_parent


def main() -> None:
    """The process. It is not for Ctrl-C: its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent.hold(sys.stdin.fileno())
    name, line = sys.argv[1], int(sys.argv[2])

    import asyncio

    import threadpoolctl

    from asyncagg.engines.processes.child_run import ChildRun
    from asyncagg.engines.runtime import event_loops

    with threadpoolctl.threadpool_limits(1), asyncio.Runner(loop_factory=event_loops.factory()) as runner:
        runner.run(ChildRun(name).live(socket.socket(fileno=line)))


if __name__ == "__main__":
    main()
