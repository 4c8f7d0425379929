"""Channels between named players, over TCP, TLS or memory, in real or in virtual time. Knows nothing of aggregation.

A `Network` (`channel`) listens for some players and dials others. What it makes are channels: each joins one local to
one remote player and delivers whole frames in order, at most once. A player hands in a sink, which is told of each
frame and, once, of the end of the channel with the reason. `memory` and `tcp` are networks; `links` wraps any of them
in latency, bandwidth, loss and faults. All of them pass one suite of tests, so that players cannot tell them apart.

A frame (`frames`) is a small header, a body and a payload, and each kind of frame has limits. A size is checked
before memory is taken for it, in both directions, and bytes are counted alike whether anything is serialised or not.
What can go wrong has a name in `errors`: an error of the operating system is translated once, here, and an error
about a peer carries the peer's name, so that it ends that peer's part and no other's.

Times are integer nanoseconds of the running loop (`clock`). `keepalive` and `rate_limit` decide from counts and times
that they are given and do no I/O. `virtual` is the loop of the simulator, which only those who simulate import. The
package stands beside `asyncagg` in the repository and is imported as `asyncagg.net`, under no other name.
"""

if __name__ != "asyncagg.net":
    raise ImportError("this package is asyncagg.net (import it under that name, or all its classes exist twice)")
