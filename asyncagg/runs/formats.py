"""Format of the files that a run leaves: only an asyncagg of the same format goes on with them or runs them again.

Whoever only looks at a run need not ask: fields it knows are where they were, whatever else there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asyncagg.version import FORMAT, __version__

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!-]{0,39}")


def stamp() -> dict[str, str | int]:
    """Stamp of this asyncagg in the files it writes: `version` and `format`."""
    return {"version": __version__, "format": FORMAT}


def other_format(said: Mapping[str, Any]) -> str | None:
    """None where a file with these fields has this format; else whose it is and what would be right, in words."""
    number, version = said.get("format"), said.get("version")
    if type(number) is int and number == FORMAT:
        return None
    known = isinstance(version, str) and _VERSION.fullmatch(version)
    made_by = f"asyncagg {version}" if known else "an asyncagg that does not say which"
    has = f"format {number}" if type(number) is int and 0 <= number < 10**6 else "no format that it says"
    this = f"this is asyncagg {__version__}, format {FORMAT}"
    return f"was made by {made_by} and has {has}; {this} (use the one that made it)"
