"""Reading and writing of single values in a scenario or in config.json.

`units` turns text such as "40 ms", "10 Mbit" or "1 GiB" into an exact integer of the smallest unit, and an integer
into the shortest text that reads back to it. Each quantity has its own units; a number without a unit is refused, and
so is one that is no whole number of the smallest unit.

`players` has the names of players and the ranges of data owners (`data-owner-0..49`), and understands the names that
the original example's config.json uses for the same. It also tells which players a set of ranges leaves out.
`addresses` reads `"host:port"`, with IPv6 in brackets, and knows what stays on this machine. `toml` writes plain
values as TOML, which the standard library only reads: `asyncagg check`, run directories and the swarm's files are
written with it.

Every reader raises ValueError with a text of the form `is X (what would be right)`, to which `reading` adds file,
line and key. What a module writes, it reads back to the same; tests hold each to it.
"""
