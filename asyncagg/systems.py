"""The systems that asyncagg runs on, in one sentence for those that it does not."""

from __future__ import annotations

import sys
from typing import Final

SUPPORTED: Final = ("linux", "darwin")
"""As `sys.platform` names them."""


def refusal() -> str | None:
    """None, or the reason why nothing can run here.

    Elsewhere there are no locks on files (`fcntl`), limits (`resource`) and signals as they are used here.
    """
    if sys.platform in SUPPORTED:
        return None
    return f"asyncagg runs on Linux and macOS, and this is {sys.platform} (on Windows: in WSL, which is a Linux)"
