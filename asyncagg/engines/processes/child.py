"""One process of a run that spans several on this machine: `python -m asyncagg.engines.processes.child NAME LINE`.

Standard input is the lifeline, which is held before anything heavy is imported; LINE is the descriptor of the control
line (`life`).
"""

from __future__ import annotations

import signal
import socket
import sys

from asyncagg.engines.processes import lifeline


def main() -> None:
    """The process. It is not for Ctrl-C: its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lifeline.hold(sys.stdin.fileno())
    name, line = sys.argv[1], int(sys.argv[2])

    import asyncio

    import threadpoolctl

    from asyncagg.engines import loops
    from asyncagg.engines.processes.life import Child

    with threadpoolctl.threadpool_limits(1), asyncio.Runner(loop_factory=loops.factory()) as runner:
        runner.run(Child(name).live(socket.socket(fileno=line)))


if __name__ == "__main__":
    main()
