"""Account of an owner: it notes an upload before that starts, and the survivors before it answers.

`plain` keeps none: it protects nothing.
"""

from __future__ import annotations

from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Persist, Role


def before_upload(context: Context, members: bytes, least: int) -> Role[None]:
    """Note that a sum of at least `least` of `members` (a bitmap) may become known."""
    if context.account is not None:
        context.account.uploaded(context.label, context.digest, members, least)
        yield Persist()


def before_answer(context: Context, members: bytes) -> Role[None]:
    """Note that the sum of exactly `members` will become known."""
    if context.account is not None:
        context.account.settled(context.label, context.digest, members)
        yield Persist()
