"""The model owner's beacon: 32 fresh bytes, signed with the root of the roster, that enter the session id.

Against a lying lead nobody may choose the k-regular graph: the last to speak before it is drawn could grind it. On the
complete graph there is nothing to choose, and against a curious lead nobody would.
"""

from __future__ import annotations

from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.signing import verify
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import MODEL_OWNER
from asyncagg.protocols.parameters.population import Infeasible

BEACON_BYTES = 32


def is_needed(context: Context, members: int) -> bool:
    """True if a session of so many owners has a beacon; Rejected where there are no safe parameters for them."""
    policy = context.graph
    if context.terms.threat == "curious" or policy is None:
        return False
    try:
        return not policy.parameters(members).complete
    except Infeasible as refusal:
        raise Rejected(str(refusal)) from None


def make(context: Context, root: bytes) -> m.Beacon:
    """The model owner's answer to a roster."""
    value = context.randomness.bytes(BEACON_BYTES)
    return m.Beacon(value, context.sign(_text(context, root, value)))


def check(context: Context, root: bytes, members: int, value: bytes, signature: bytes) -> bytes:
    """The beacon, if this session has one, else nothing; Rejected if it is not the model owner's for this roster."""
    if not is_needed(context, members):
        return b""
    public = context.terms.identities.get(MODEL_OWNER)
    if len(value) != BEACON_BYTES or public is None or not verify(public, _text(context, root, value), signature):
        raise Rejected("the beacon is not the model owner's for this roster")
    return value


def _text(context: Context, root: bytes, value: bytes) -> bytes:
    return encode_fields("asyncagg beacon", context.round_id, root, value)
