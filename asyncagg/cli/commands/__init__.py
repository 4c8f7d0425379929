"""The commands of `asyncagg`: a module for each, which does what was asked and returns an exit status.

`asyncagg.cli.app` declares names, options and help, and imports a command's module when it is called, so that
`--help` and mistakes in options answer at once. A command takes one value with all that was asked for (`RunRequest`,
`ServeRequest`), calls what does the work, and says what came of it by way of `asyncagg.cli.output`. It decides
nothing that a caller of the Python interface would have to decide again.

A command that reads files does so within `refusing`: mistakes are one plain line each on stderr, and the status is 2.
One that leaves nothing half done runs within `interruptible`. `run` and `serve` leave a run directory, and share
`recording`: the directory is there from the first moment with a result that says `interrupted`, and is written
however the run ends. `numbers` are the parsers of options that are numbers.

Answers go to stdout and everything else to stderr; with `--json` stdout holds one JSON value and nothing else. Exit
status: 0 done, 1 the run failed or something differs, 2 bad usage or a bad file, 130 interrupted.
"""
