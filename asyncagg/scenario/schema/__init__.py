"""Tables of a scenario: their keys, types, bounds, defaults and descriptions.

A table is a frozen pydantic model (`Table` in `fields`), a module for each part of the file: `aggregation`, `phases`,
`workload`, `links` and `latency`, `compute`, `faults` and `availability`; `scenario` puts them together. A field's
alias is the key as the file says it (`deadline`), its name has the unit (`deadline_ns`), and its description is the
one that the documentation's tables and the JSON Schema show. Nothing is converted silently: a text is no number, 1 is
not true.

Where a table stands for an object of another package, such as a link or a distribution, it builds that object when it
is validated, so that what that package refuses is a mistake of the file. Files that a table names are read then, and
the scenario holds what they said: measured latencies, times when owners are there.

The schema is the one place where types and bounds are checked. Workloads, engines and protocols are given values that
are right, and check only what takes data or other keys to know. To add a key, add a field here, a check across keys
in `scenario/checks.py` if it needs one, and run `docs/tables.py`.
"""
