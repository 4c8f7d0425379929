"""A connection that was accepted: a stranger until its hello is found right, then the channels it opens."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod

from net.channel import Accept
from net.errors import FrameError, Refusal
from net.frames import Everyone, Frame, Gate, pack_frame
from net.hello import (
    BYE,
    ENDS,
    HELLO,
    OPEN,
    OPENED,
    TO_LISTENER,
    WELCOME,
    Hello,
    pack,
    pack_reason,
    pack_welcome,
    parse_fields,
    parse_hello,
    stranger_limits,
)
from net.session import Hub, Session, TcpChannel
from net.tls import certified, name_certified
from net.tls_words import explain

STRANGER = "stranger"  # whom we address while nobody has said a name that we believe


class Threshold(ABC):
    """Where an accepted connection stands until it is let in; it has the clock and the count of those who wait."""

    @abstractmethod
    def let_in(self) -> None:
        """The hello was found right."""

    @abstractmethod
    def refused(self) -> None:
        """The connection was refused; it may stay for a while, to hear why."""

    @abstractmethod
    def left(self) -> None:
        """The socket is closed."""


class Inbound(Session):
    """The listening end of a connection to `player`, over its `threshold`."""

    def __init__(self, hub: Hub, player: str, accept: Accept | None, threshold: Threshold, address: str) -> None:
        super().__init__(hub, Gate(stranger_limits(hub.options.max_players), Everyone(), (player,)))
        self.player = player
        self._accept = accept
        self._early: dict[str, Frame] = {}
        """By player, what would open a channel to a player that does not listen at present."""
        self._threshold = threshold
        self._address = address
        self._addressee = STRANGER
        self.handlers |= {HELLO: self._on_hello, OPEN: self._on_open}

    def pause(self) -> None:
        """The player listens no more: who opens a channel waits."""
        self._accept = None

    def resume(self, accept: Accept) -> None:
        """The player listens again."""
        self._accept = accept
        early, self._early = self._early, {}
        for frame in early.values():
            self._on_open(frame)

    def carried(self, frame: Frame) -> str:
        """The sender."""
        return frame.sender

    def say(self, player: str, kind: str, body: bytes = b"") -> None:
        """Send a control frame to `player`."""
        self.outbox.put(pack_frame(Frame(self.player, player, kind, body)))

    def control(self, kind: str, body: bytes = b"") -> None:
        """Send a control frame to the other end."""
        self.say(self._addressee, kind, body)

    def made(self) -> None:
        """Wait for the hello."""
        super().made()
        if self.hub.closed:
            self.cut("the network is closed")

    @property
    def address(self) -> str:
        """Where the other side is; known even when its socket is broken already."""
        return self._address

    def unsafe(self, error: OSError) -> None:
        """Whoever merely left is not refused."""
        if isinstance(error, ssl.SSLError):
            self.note_refusal(explain(error))
            self._threshold.refused()

    def never_made(self) -> None:
        """See `Session`."""
        self._threshold.left()

    def refuse(self, error: FrameError) -> None:
        """See `Connection`."""
        self._threshold.refused()
        super().refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        self._threshold.left()

    def on_bye(self, frame: Frame) -> None:
        """See `Session`; it may be about a channel that was never opened."""
        number, _ = parse_fields(frame.body, int, str)
        early = self._early.get(frame.sender)
        if early is not None and parse_fields(early.body, int) == [number]:
            del self._early[frame.sender]
        super().on_bye(frame)

    def on_refuse(self, frame: Frame) -> None:
        """The dialling side found fault with us."""
        (reason,) = parse_fields(frame.body, str)
        self.note_refusal(FrameError(Refusal.DISTRUSTED, f"it says: {reason}"))
        self.finish(f"refused: {reason}")

    def _on_hello(self, frame: Frame) -> None:
        run = self.hub.require_run()
        hello = parse_hello(frame.body, (run, b"") if self.hub.tells_run else (run,), self.options.max_players)
        if frame.sender not in hello.players or self.player in hello.players:
            raise FrameError(Refusal.BAD_HELLO, f"must carry {frame.sender} and not {self.player}")
        self._check_certificate(hello)
        objection = self.hub.admit(hello, self.transport) if self.hub.admit else None
        if objection is not None:
            raise FrameError(Refusal.NOT_ADMITTED, objection)
        self._threshold.let_in()
        self.lingers = True
        self._addressee = frame.sender
        limits = self.hub.limits | TO_LISTENER if hello.run else ENDS
        self.decoder.set_gate(Gate(limits, frozenset(hello.players), (self.player,)))
        self.control(WELCOME, pack_welcome(run, self.hub.facts))
        if not hello.run:
            self.finish("told the run")

    def _check_certificate(self, hello: Hello) -> None:
        names = certified(self.transport)
        other = None if names is None else next((player for player in hello.players if player not in names), None)
        if names is not None and other is not None:
            raise FrameError(Refusal.WRONG_NAME, f"{name_certified(names)}, not for {other}")

    def _on_open(self, frame: Frame) -> None:
        (number,) = parse_fields(frame.body, int)
        player = frame.sender
        if self._accept is None:
            self._early[player] = frame
            return
        if player in self.channels:
            raise FrameError(Refusal.BAD_CONTROL, f"{player} opened its channel twice")
        if not self._make_room(player):
            error = FrameError(Refusal.ALREADY_CONNECTED, f"{player} is already connected")
            self.note_refusal(error)
            self.say(player, BYE, pack_reason(number, reason=error.detail))
            return
        channel = TcpChannel(self.hub, self.player, player)
        channel.join(self, player, number)
        self.say(player, OPENED, pack([number]))
        channel.sink = self._accept(channel)

    def _make_room(self, player: str) -> bool:
        """Whether `player` may open a channel: it has none, or one over a connection that seems dead.

        A living channel is never replaced, or whoever learnt a name could push its owner out. A connection
        that has missed its keep-alive is: its owner may have lost it without our hearing of it, and comes
        back.
        """
        old = self.hub.channels.get((self.player, player))
        if old is None:
            return True
        if old.session is None or not old.session.is_doubtful():
            return False
        old.session.cut("replaced by a newer connection")
        return True
