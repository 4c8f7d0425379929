"""A connection that we dialled: it says hello for all its players, each of which opens a channel over it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TypeAlias

from asyncagg.net.errors import FrameError, NotNow, Refusal, Refused, Untrusted, describe_os_error, refused
from asyncagg.net.frames import NOTHING, Everyone, Frame, FrameRules, Header, pack_frame
from asyncagg.net.tcp.hello import (
    BYE,
    FROM_LISTENER,
    GREETING,
    HELLO,
    OPEN,
    OPENED,
    WELCOME,
    Hello,
    pack,
    pack_hello,
    pack_reason,
    parse_fields,
    parse_welcome,
)
from asyncagg.net.tcp.session import NetworkState, TcpChannel, TcpSession
from asyncagg.net.tls.context import certified, name_certified
from asyncagg.net.tls.errors import final

Failure: TypeAlias = str | Refused
"""A reason that may pass, so that trying again makes sense, or a refusal, which is final unless it is `NotNow`."""


class Occupied(NotNow):
    """The listener has a channel of this pair already: somebody else's, or one that we lost and it has not missed.

    In the second case it will miss it before long, so trying again helps for a while.
    """


@dataclass(frozen=True, slots=True)
class _Opening:
    """A channel that the listener has not confirmed."""

    channel: TcpChannel
    number: int
    answer: asyncio.Future[Failure | None]


class Outbound(TcpSession):
    """The dialling end of a connection to `remote`; `greeting` is what the listener answers to the hello."""

    def __init__(self, state: NetworkState, remote: str) -> None:
        super().__init__(state, FrameRules(NOTHING, (remote,), Everyone(), GREETING))
        self._remote = remote
        self._players = tuple(player for player in state.players if player != remote)
        self._asks_run = state.run is None
        self._opened = 0
        self._openings: dict[str, _Opening] = {}
        self.greeting: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        self.handlers |= {WELCOME: self._on_welcome, OPENED: self._on_opened}
        self.decoder.wants = self._wants

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """See `Session`."""
        return [(player, self._remote) for player in self._players] if self.lingers else []

    async def open(self, channel: TcpChannel) -> Failure | None:
        """Open `channel` for its local player. It may carry frames before this returns None."""
        player = channel.local
        self._opened += 1
        opening = _Opening(channel, self._opened, asyncio.get_running_loop().create_future())
        self._openings[player] = opening
        self.say(player, OPEN, pack([opening.number]))
        try:
            return await opening.answer
        except asyncio.CancelledError:
            if self._openings.pop(player, None) is not None:
                self.say(player, BYE, pack_reason(opening.number, reason="gave up dialling"))
                self._finish_if_idle()
            raise

    def carried(self, frame: Frame) -> str:
        """The receiver."""
        return frame.receiver

    def say(self, player: str, kind: str, body: bytes = b"") -> None:
        """Send a control frame from `player`."""
        self.send_queue.put(pack_frame(Frame(player, self._remote, kind, body)))

    def control(self, kind: str, body: bytes = b"") -> None:
        """Send a control frame to the listener."""
        self.say(self._players[0], kind, body)

    def made(self) -> None:
        """Send the hello, if the player we reached is the right one."""
        super().made()
        names = certified(self.transport)
        if names is not None and self._remote not in names:
            self._distrust(FrameError(Refusal.WRONG_NAME, f"{name_certified(names)}, not for {self._remote}"))
            return
        run = b"" if self._asks_run else self.state.require_run()
        self.control(HELLO, pack_hello(Hello(run, self._players, self.state.facts, self.state.wire_format)))

    def unsafe(self, error: OSError) -> None:
        _answer(self.greeting, self._tls_failure(error) or describe_os_error(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer who waits for the greeting where the listener did not like our certificate."""
        failure = self._tls_failure(exc)
        if failure is not None:
            _answer(self.greeting, failure)
        super().connection_lost(exc)

    def ended(self, reason: str) -> None:
        """End all channels, and answer everyone who still waits for one."""
        _answer(self.greeting, reason)
        for opening in self._openings.values():
            _answer(opening.answer, reason)
        self._openings.clear()
        super().ended(reason)

    def close_channel(self, channel: TcpChannel, reason: str) -> None:
        """Close one channel for its local player; the last one closes the connection."""
        super().close_channel(channel, reason)
        self._finish_if_idle()

    def refuse_channel(self, channel: TcpChannel, error: FrameError) -> None:
        """See `Session`; the last one closes the connection."""
        super().refuse_channel(channel, error)
        self._finish_if_idle()

    def on_refuse(self, frame: Frame) -> None:
        """The listener will not have us, or no longer."""
        (reason,) = parse_fields(frame.body, str)
        _answer(self.greeting, refused(self._remote, reason))
        self.finish(f"refused: {reason}")

    def on_bye(self, frame: Frame) -> None:
        """Close the channel that the listener closes; one that was not opened yet: mostly the pair has one."""
        number, reason = parse_fields(frame.body, int, str)
        opening = self._openings.get(frame.receiver)
        if opening is not None and opening.number == number:
            del self._openings[frame.receiver]
            excluded = reason.startswith(Refusal.EXCLUDED)
            _answer(opening.answer, (NotNow if excluded else Occupied)(self._remote, reason))
        else:
            super().on_bye(frame)
        self._finish_if_idle()

    def _on_welcome(self, frame: Frame) -> None:
        run, facts = parse_welcome(frame.body, self.state.run)
        objection = self.state.recognise(self._remote, facts) if self.state.recognise else None
        if objection is not None:
            self._distrust(FrameError(Refusal.NOT_ADMITTED, objection))
            return
        self.state.run = run
        self.lingers = True
        self.decoder.set_rules(FrameRules(self.state.limits, (self._remote,), frozenset(self._players), FROM_LISTENER))
        _answer(self.greeting, None)
        if self._asks_run:  # which the listener gives no other answer to
            self.finish("the run is learnt")
        else:  # who dialled may have given up meanwhile
            self.set_deadline(self.options.hello_ns, self._finish_if_idle)

    def _on_opened(self, frame: Frame) -> None:
        (number,) = parse_fields(frame.body, int)
        player = frame.receiver
        opening = self._openings.get(player)
        if opening is not None and opening.number == number:
            del self._openings[player]
            opening.channel.join(self, player, number)
            _answer(opening.answer, None)

    def _wants(self, header: Header) -> bool:
        """True if there is a channel for a large frame."""
        if header.receiver not in self.channels:
            self.unasked(header.sender, header.receiver)
            return False
        return True

    def _distrust(self, error: FrameError) -> None:
        """Refuse the player we reached, now and later."""
        _answer(self.greeting, Untrusted(self._remote, error.detail))
        self.refuse(error)

    def _tls_failure(self, error: Exception | None) -> Failure | None:
        return final(self._remote, error) if isinstance(error, ssl.SSLError) else None

    def _finish_if_idle(self) -> None:
        if not self.channels and not self._openings and not self.has_ended:
            self.finish("closed")


def _answer(future: asyncio.Future[Failure | None], outcome: Failure | None) -> None:
    if not future.done():
        future.set_result(outcome)
