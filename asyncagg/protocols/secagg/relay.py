"""Relay of sealed shares at the lead: it sorts the boxes by holder, and keeps the tags of what is in them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asyncagg.protocols.messages import Buffer
from asyncagg.protocols.names import Player
from asyncagg.protocols.secagg.owner_secrets import BOX_BYTES, ENTRY_BYTES
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.share_tags import TAG_BYTES

OWN_BYTES = 2 * TAG_BYTES
"""Bytes at the end of what an owner seals on the complete graph: tags of the shares that it holds itself."""


def sealed_bytes(session: Session, player: Player) -> int:
    """Length that this owner's boxes and tags must have together, in bytes."""
    return ENTRY_BYTES * len(session.neighbours(player)) + session.parameters.complete * OWN_BYTES


def entries_by_holder(session: Session, sealed: Mapping[Player, Buffer]) -> dict[Player, bytes]:
    """The boxes of U2 with their tags, for each holder in order of sender. `sealed` is in order of index."""
    entries: dict[Player, list[bytes]] = {player: [] for player in sealed}
    for sender, message in sealed.items():
        data = memoryview(message)
        for place, holder in enumerate(session.neighbours(sender)):
            if holder in entries:
                entries[holder].append(bytes(data[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES]))
    return {holder: b"".join(each) for holder, each in entries.items()}


def tags_by_holder(
    session: Session, sealed: Mapping[Player, Buffer], entries: Mapping[Player, bytes]
) -> dict[Player, bytes]:
    """Both tags of all that each holder holds, in order of dealer, its own among them."""
    tags: dict[Player, bytes] = {}
    for place, (holder, message) in enumerate(sealed.items()):
        of_others = np.frombuffer(entries[holder], np.uint8).reshape(-1, ENTRY_BYTES)[:, BOX_BYTES:].tobytes()
        cut = place * OWN_BYTES
        own = bytes(memoryview(message)[-OWN_BYTES:]) if session.parameters.complete else b""
        tags[holder] = of_others[:cut] + own + of_others[cut:] if own else of_others
    return tags
