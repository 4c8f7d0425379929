"""How an owner keeps its privacy ledger during an attempt: written down before the upload, settled before it answers.

A strict ledger ends the owner's part instead. `plain` keeps none: it protects nothing.
"""

from __future__ import annotations

from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Persist, Rejected, Role
from asyncagg.protocols.ledger.account import Verdict


def before_upload(context: Context, members: bytes, least: int) -> Role[None]:
    """Note that a sum of at least `least` of `members` (a bitmap) may become known."""
    if context.ledger is not None:
        yield from _kept(context.ledger.uploaded(context.label, context.digest, members, least))


def before_answer(context: Context, members: bytes) -> Role[None]:
    """Note that the sum of exactly `members` will become known."""
    if context.ledger is not None:
        yield from _kept(context.ledger.settled(context.label, context.digest, members))


def _kept(verdict: Verdict) -> Role[None]:
    if verdict.refused:
        raise Rejected(f"privacy ledger: {verdict.reason}")
    yield Persist()
