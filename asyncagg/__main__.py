"""`python -m asyncagg`: the command line, as `asyncagg`."""

from asyncagg.cli.main import main

main()
