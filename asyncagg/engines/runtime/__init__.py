"""The players of one process, and what they stand on.

`players` builds those that live here: all of them in `sim` and `tcp`, some of them where a run spans processes. An
engine hands in an `Environment`: how players reach each other, where they compute, where their secrets come from.
Each player is a task (`tasks`). When one of them raises, all end, and the error comes out where the run is awaited.

Work goes to an executor (`executors`). In virtual time it is done at once, and its price by the scenario's
`[compute]` (`prices`) is charged to the player's one processor. In real time heavy work goes to threads, and a
gradient, which is the user's code and may never return, has a thread that nothing else needs. `sockets` is what
players stand on in real time, `event_loops` the loop they run on, `links` puts the scenario's links around their
networks, `identities` makes their signing keys where the lead may lie.

`faults` acts out the scenario's faults, at the start of a phase of the lead or at a time; `availability` does so for
owners that come and go. A crash stops a player's task and closes its channels, a restart begins the task again; the
players of the process are the target. The lead waits at a phase until faults have struck, in other processes as well.
"""
