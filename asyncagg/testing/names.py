"""How the commands that test protocols are called."""

from typing import Final

PROGRAM: Final = "python -m asyncagg.testing"
