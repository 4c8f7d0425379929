"""Output of commands on a terminal.

`plain` writes: answers to stdout, mistakes to stderr, one plain line each, with no box, no wrapping and no traceback.
A name or path of anybody's is escaped where it could move a cursor or break a line. A full disk and a reader that has
gone away (`asyncagg check … | head`) are dealt with there, once. `refusing` and `interruptible` are what commands
stand in: the first turns mistakes in files into lines and status 2, the second turns Ctrl-C into the right status.

`progress` says a line for each round while a run goes on, and `summary` says in a few lines how it went. `parameters`
says threshold, neighbours and cost, as lines and as JSON, for `check` and `plan` alike. `words` puts numbers as
people read them: bytes, times, counted things.

Nothing here computes what it shows: it is given results and outlooks. No module here knows a command, and the modules
that are needed for `--help` import nothing heavy.
"""
