"""Observers of a process while it serves: log, metrics, health.

An `Observer` (`interface`) is told what happens to the players of a process: records of the trace, rounds that ended,
connections that were refused, who joined and who is gone, and how far the process has come. Its methods are quick and
never raise, for they are called in the middle of the work. `observers` is all of a process's observers as one object:
an engine attaches it in a few places and knows nothing of what is behind it. `presence` wraps a network and tells of
channels that begin and end; frames pass through it untouched.

`logs` writes one line for each thing that happened, as text or as JSON, and limits what strangers can make it write.
`metrics` counts for Prometheus, by kind and never by anything that a peer can choose freely; it is the one module
that needs `prometheus_client`. `health` says how the process is. Metrics and health are pages that `http_pages`
serves on the players' own loop, with bounds on connections, request size and time. Names, sizes and times may be
shown; no secret, vector or parameter ever reaches an observer.
"""
