"""The table of who may say what as the limits that networks check: of each frame's header, before its body is read."""

from __future__ import annotations

from asyncagg.net.frames import Limits, RoleLimits
from asyncagg.protocols.permissions import Permissions


def frame_limits(permissions: Permissions) -> RoleLimits[str]:
    """Limits on what any two players of a run may say to each other."""

    def limits(sender: str, receiver: str) -> Limits:
        kinds = permissions.of(sender, receiver).kinds
        return Limits({kind: (each.body, each.payload) for kind, each in kinds.items()})

    return RoleLimits(permissions.place, limits)
