"""Names of the commands that test protocols."""

from typing import Final

PROGRAM: Final = "python -m asyncagg.testing"
