"""The model owner's signature on U2, on a k-regular graph against a lying lead: all owners mask over the same U2.

On the complete graph the threshold and the quorum of signatures see to it that a lead gains nothing by telling each
owner another U2. A k-regular graph falls apart: a lead that has seen it could cut out some owners by what it tells
their neighbours. The model owner, which is trusted not to collude there, signs one set an attempt, without seeing it.
"""

from __future__ import annotations

import hashlib

from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.signing import verify
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import MODEL_OWNER
from asyncagg.protocols.secagg.session import Session


def digest(sharers: bytes) -> bytes:
    """H(U2), 32 bytes; `sharers` is the bitmap."""
    return hashlib.sha256(b"asyncagg sharers" + sharers).digest()


def is_signed(session: Session) -> bool:
    """True if this session's U2 has to be signed."""
    return session.context.terms.threat == "lying" and not session.parameters.complete


def sign(context: Context, session: bytes, fixed: m.SharersFixed) -> m.SharersSigned:
    """The model owner's answer to the one U2 of an attempt."""
    return m.SharersSigned(context.sign(_text(context, session, fixed.digest)))


def check(session: Session, sharers: bytes, signature: bytes) -> None:
    """Rejected where U2 has to be signed and this is not the model owner's signature on it."""
    if not is_signed(session):
        return
    context = session.context
    public = context.terms.identities.get(MODEL_OWNER)
    if public is None or not verify(public, _text(context, session.id, digest(sharers)), signature):
        raise Rejected("the signature on U2 is not the model owner's in this session")


def _text(context: Context, session: bytes, fixed: bytes) -> bytes:
    return encode_fields("asyncagg sharers", context.round_id, session, fixed)
