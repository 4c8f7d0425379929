"""`python -m asyncagg.testing`: the commands that test protocols."""

from asyncagg.cli.main import run_app

run_app("asyncagg.testing.app")
