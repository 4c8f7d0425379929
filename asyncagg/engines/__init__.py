"""Engines: from a scenario to players with a clock, channels and somewhere to compute, and back to a result.

`launch` starts a run, whoever asks for it. An `experiment` is the scenario made ready: workload, protocol, ring,
slices, and all that players agree on, the same in every engine; the `outlook` is what can be said before anything
runs. Then the engine of that name is imported and plays it. There are four, and they differ in little but what
players stand on:

    sim          virtual time, in memory, secrets from the seed; the same bytes every time, and insecure
    tcp          real time, loopback sockets, one process
    processes    real time, TLS, a process for each place on this machine
    hosts        real time, TLS, the processes that `asyncagg serve` starts on many machines

`one_process` is what the first two have in common. `runtime` has the players of one process and what they stand on,
and acts out faults. `record` turns what happened into the result, and keeps a run resumable. `watch` tells people and
monitoring how a process is. An engine stands on these three and on no other engine; records know nothing of the
runtime.
"""
