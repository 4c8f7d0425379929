"""Observations of a run beyond its record: secrets as they are drawn, shares as they are given out, lost errors.

It looks on from outside, around functions of the product, so that nothing in a protocol knows of it. One run at a time
in a process.
"""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Role
from asyncagg.protocols.names import Label, Player
from asyncagg.protocols.secagg import owner
from asyncagg.protocols.secagg.owner_secrets import OwnerSecrets
from asyncagg.protocols.secagg.session import Session

SECRET_BYTES: Final = 16
"""The least a secret has; of longer ones the beginning is looked for."""


class Watch:
    """Observations of one run."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        """Exceptions that reached only the loop."""
        self._secrets: dict[bytes, None] = {}
        self._given: dict[tuple[Label, bytes, Player], dict[str, Player]] = {}
        """Session and owner → the kind of share of it that was given out, and who did first."""

    def drawn(self, data: bytes) -> None:
        if len(data) >= SECRET_BYTES:
            self._secrets[data[:SECRET_BYTES]] = None

    def answered(self, context: Context, session: Session, members: bytes) -> None:
        """An owner gives out its shares: of b for the survivors it was shown, of s_sk for all others."""
        survivors = dict.fromkeys(context.players_in(members))
        for player in session.holders(context.me):
            kind = "b" if player in survivors else "s_sk"
            self._given.setdefault((context.label, session.id, player), {}).setdefault(kind, context.me)

    def twice_opened(self) -> Iterator[str]:
        """Owners both of whose secrets had shares given out in one attempt."""
        for (label, _, player), kinds in self._given.items():
            if len(kinds) > 1:
                who = " and ".join(f"its share of {kind} by {giver}" for kind, giver in kinds.items())
                yield f"{player} in round {label.round}, attempt {label.attempt}: {who}"

    def secrets_in(self, text: str) -> int:
        """Number of the drawn secrets that can be read in the text, in any usual spelling."""
        return sum(any(form in text for form in _spellings(secret)) for secret in self._secrets)


def _spellings(secret: bytes) -> Iterator[str]:
    yield secret.hex()
    yield secret.hex().upper()
    yield repr(secret)[2:-1]
    yield secret.decode("latin-1")
    yield base64.b64encode(secret)[:20].decode()


class _Lost(logging.Handler):
    """asyncio logs what no task and no callback took care of."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.ERROR)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        last = "" if error is None else "".join(traceback.format_exception(error)[-2:])
        self._watch.lost.append(" ".join(f"{record.getMessage().splitlines()[0]} {last}".split()))


@contextmanager
def watching() -> Iterator[Watch]:
    """Look on while a run in `sim` is played."""
    watch = Watch()
    draw, answer = InsecureSeededRandomness.bytes, owner.answer

    def drawing(randomness: InsecureSeededRandomness, count: int) -> bytes:
        data = draw(randomness, count)
        watch.drawn(data)
        return data

    def answering(context: Context, session: Session, secrets: OwnerSecrets, members: bytes) -> Role[None]:
        watch.answered(context, session, members)
        return answer(context, session, secrets, members)

    with (
        _replaced(InsecureSeededRandomness, "bytes", drawing),
        _replaced(owner, "answer", answering),
        _listening(_Lost(watch)),
    ):
        yield watch


@contextmanager
def _replaced(target: object, name: str, value: Any) -> Iterator[None]:
    former = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, former)


@contextmanager
def _listening(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)
