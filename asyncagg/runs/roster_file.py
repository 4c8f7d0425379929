"""The roster file: who the players are, as Ed25519 public keys that everybody pins (threat `lying`).

JSON, `{"data-owner-0": "<64 hex digits>", …}`. For an experiment the keys are made for the run and the file lies in its
run directory; private keys are in no file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

KEY = re.compile("[0-9a-f]{64}")


class RosterError(ValueError):
    """A roster file that cannot be pinned; the text says where and what would be right."""


def write(path: Path, identities: Mapping[str, bytes]) -> None:
    """Player → public key, 32 bytes."""
    keys = {name: key.hex() for name, key in identities.items()}
    path.write_text(json.dumps(keys, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, bytes]:
    """The keys of a roster file; RosterError unless every key is one, and no two players have the same."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RosterError(f"{path}: {error.strerror} (a roster file)") from None
    except ValueError:
        raise RosterError(f"{path}: is not JSON (an object from player to public key)") from None
    if not isinstance(content, dict):
        raise RosterError(f"{path}: is not an object (from player to public key)")
    for name, key in content.items():
        if not isinstance(key, str) or not KEY.fullmatch(key):
            raise RosterError(f"{path}: {name}: is not a public key (64 hex digits)")
    owners: dict[str, str] = {}
    for name, key in content.items():
        if key in owners:
            raise RosterError(f"{path}: {name}: has the key of {owners[key]} (one for each player)")
        owners[key] = name
    return {name: bytes.fromhex(key) for name, key in content.items()}
