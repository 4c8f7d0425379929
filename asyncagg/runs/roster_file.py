"""The roster file: who the players are, as Ed25519 public keys that everybody pins (threat `lying`).

JSON, `{"data-owner-0": "<64 hex digits>", …}`, and beside the keys, where the owners are cut into batches,
`"batches": {"size": T, "seed": "<64 hex digits>"}`: the cut is pinned with the identities. For an experiment the keys
are made for the run and the file lies in its run directory; private keys are in no file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = re.compile("[0-9a-f]{64}")
BATCHES = "batches"
"""The key of the cut, which is no player's name."""


class RosterError(ValueError):
    """A roster file that cannot be pinned; the text says where and what would be right."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Into which batches the owners are cut, once for this list."""

    size: int
    """T: owners of a batch at least."""
    seed: bytes
    """32 bytes, public, drawn after all keys were in the list."""


def write(path: Path, identities: Mapping[str, bytes], cut: Cut | None = None) -> None:
    """Player → public key, 32 bytes; and the cut."""
    content: dict[str, Any] = {name: key.hex() for name, key in identities.items()}
    if cut is not None:
        content[BATCHES] = {"size": cut.size, "seed": cut.seed.hex()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, bytes]:
    """The keys of a roster file; RosterError unless every key is one, and no two players have the same."""
    content = _content(path)
    content.pop(BATCHES, None)
    for name, key in content.items():
        if not isinstance(key, str) or not KEY.fullmatch(key):
            raise RosterError(f"{path}: {name}: is not a public key (64 hex digits)")
    owners: dict[str, str] = {}
    for name, key in content.items():
        if key in owners:
            raise RosterError(f"{path}: {name}: has the key of {owners[key]} (one for each player)")
        owners[key] = name
    return {name: bytes.fromhex(key) for name, key in content.items()}


def read_cut(path: Path) -> Cut | None:
    """The cut of a roster file; None where it has none. RosterError for one that is damaged."""
    said = _content(path).get(BATCHES)
    if said is None:
        return None
    match said:
        case {"size": int(size), "seed": str(seed), **rest} if size > 1 and KEY.fullmatch(seed) and not rest:
            return Cut(size, bytes.fromhex(seed))
    raise RosterError(f'{path}: {BATCHES}: is not a cut ({{"size": from 2, "seed": 64 hex digits}})')


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RosterError(f"{path}: {error.strerror} (a roster file)") from None
    except ValueError:
        raise RosterError(f"{path}: is not JSON (an object from player to public key)") from None
    if not isinstance(content, dict):
        raise RosterError(f"{path}: is not an object (from player to public key)")
    return content
