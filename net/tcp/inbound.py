"""A connection that was accepted: a stranger until its hello is found right, then the channels it opens."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod

from asyncagg.net.channel import Accept
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import FrameError, Refusal
from asyncagg.net.frames import NOTHING, Everyone, Frame, FrameRules, Header, pack_frame
from asyncagg.net.tcp.hello import (
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
from asyncagg.net.tcp.session import NetworkState, TcpChannel, TcpSession
from asyncagg.net.tls.context import certified, name_certified
from asyncagg.net.tls.errors import explain

STRANGER = "stranger"  # whom we address while nobody has said a name that we believe


class Admission(ABC):
    """Interface of an accepted connection to its listener: the clock and the count of those that wait to be let in.

    Once it has been let in, it counts the channels that are opened.
    """

    @abstractmethod
    def let_in(self) -> None:
        """The hello was found right."""

    @abstractmethod
    def may_open(self, player: str) -> bool:
        """True if `player`, which is about to open a channel, does not do so too often."""

    @abstractmethod
    def refused(self) -> None:
        """The connection was refused; it may stay for a while, to hear why."""

    @abstractmethod
    def left(self) -> None:
        """The socket is closed."""


class Inbound(TcpSession):
    """The listening end of a connection to `player`; `admission` counts it until it is let in."""

    def __init__(
        self, state: NetworkState, player: str, accept: Accept | None, admission: Admission, address: str
    ) -> None:
        super().__init__(state, FrameRules(NOTHING, Everyone(), (player,), stranger_limits(state.options.max_players)))
        self.player = player
        self._accept = accept
        self._early: dict[str, Frame] = {}
        """Frames by player that would open a channel to a player that does not listen at present."""
        self._came: set[str] = set()
        """Players that have opened a channel here, or wanted to."""
        self._admission = admission
        self._address = address
        self._addressee = STRANGER
        self._players: tuple[str, ...] = ()
        """Those of the hello, once it is found right."""
        self.handlers |= {HELLO: self._on_hello, OPEN: self._on_open}
        self.decoder.wants = self._wants

    def pause(self) -> None:
        """The player listens no more: who opens a channel waits."""
        self._accept = None

    def resume(self, accept: Accept) -> None:
        """The player listens again: who waits has its channel opened."""
        self._accept = accept
        while self._early and self._accept is not None:
            self._open(self._early.pop(next(iter(self._early))), self._accept)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """See `Session`."""
        return [(self.player, player) for player in self._players]

    def carried(self, frame: Frame) -> str:
        """The sender."""
        return frame.sender

    def say(self, player: str, kind: str, body: bytes = b"") -> None:
        """Send a control frame to `player`."""
        self.send_queue.put(pack_frame(Frame(self.player, player, kind, body)))

    def control(self, kind: str, body: bytes = b"") -> None:
        """Send a control frame to the other end."""
        self.say(self._addressee, kind, body)

    def made(self) -> None:
        """Wait for the hello."""
        super().made()
        if self.state.closed:
            self.cut("the network is closed")

    @property
    def address(self) -> str:
        """Address of the other side; known even when its socket is broken already."""
        return self._address

    def unsafe(self, error: OSError) -> None:
        """Whoever merely left is not refused."""
        if isinstance(error, ssl.SSLError):
            self.note_refusal(explain(error))
            self._admission.refused()

    def never_made(self) -> None:
        self._admission.left()

    def refuse(self, error: FrameError) -> None:
        self._admission.refused()
        super().refuse(error)

    def ended(self, reason: str) -> None:
        """End all channels, and forget who waits for one."""
        self._early.clear()
        super().ended(reason)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._admission.left()

    def on_bye(self, frame: Frame) -> None:
        """Close the channel that the other side closes, or forget the one it wanted opened."""
        number, _ = parse_fields(frame.body, int, str)
        early = self._early.get(frame.sender)
        if early is not None and parse_fields(early.body, int) == [number]:
            del self._early[frame.sender]
        else:
            super().on_bye(frame)

    def on_refuse(self, frame: Frame) -> None:
        """The dialling side found fault with us."""
        (reason,) = parse_fields(frame.body, str)
        self.note_refusal(FrameError(Refusal.DISTRUSTED, f"it says: {reason}"))
        self.finish(f"refused: {reason}")

    def _on_hello(self, frame: Frame) -> None:
        run = self.state.require_run()
        runs = (run, b"") if self.state.tells_run else (run,)
        hello = parse_hello(frame, runs, self.options.max_players, self.state.wire_format)
        if frame.sender not in hello.players or self.player in hello.players:
            raise FrameError(Refusal.BAD_HELLO, f"must carry {frame.sender} and not {self.player}")
        self._check_certificate(hello)
        objection = self.state.admit(hello, self.transport) if self.state.admit else None
        if objection is not None:
            raise FrameError(Refusal.NOT_ADMITTED, objection)
        self._check_exclusions(hello)
        self._admission.let_in()
        self._players = tuple(hello.players)
        self._end_former(frame.sender)
        self.lingers = True
        self._addressee = frame.sender
        limits, control = (self.state.limits, TO_LISTENER) if hello.run else (NOTHING, ENDS)
        self.decoder.set_rules(FrameRules(limits, frozenset(hello.players), (self.player,), control))
        self.control(WELCOME, pack_welcome(run, self.state.facts))
        if not hello.run:
            self.finish("told the run")

    def _check_certificate(self, hello: Hello) -> None:
        names = certified(self.transport)
        other = None if names is None else next((player for player in hello.players if player not in names), None)
        if names is not None and other is not None:
            raise FrameError(Refusal.WRONG_NAME, f"{name_certified(names)}, not for {other}")

    def _check_exclusions(self, hello: Hello) -> None:
        """FrameError when none of these players may open a channel now."""
        objections = [self._excluded(player) for player in hello.players]
        first = objections[0]
        if first is not None and all(objections):
            raise first

    def _excluded(self, player: str) -> FrameError | None:
        """Error that says why this player may not come at present; None if it may."""
        objection = self.state.exclusions.objection(self.player, player, now_ns())
        return None if objection is None else FrameError(Refusal.EXCLUDED, objection)

    def _end_former(self, sender: str) -> None:
        """End older connections with a hello from `sender` over which nobody talks.

        An honest process has one connection to us: it has lost the others, or closed them. Without this, one
        player could have all the connections that there may be.
        """
        for other in list(self.state.sessions):
            if isinstance(other, Inbound) and other.player == self.player and other._is_idle_and_of(sender):
                other.cut("replaced by a newer connection")

    def _is_idle_and_of(self, sender: str) -> bool:
        """True if it was let in for this player's hello and carries no channel."""
        return self._addressee == sender and self.lingers and not self.channels

    def _wants(self, header: Header) -> bool:
        """True if there is a channel for a large frame; if no longer, the frame was on its way when that was closed."""
        if header.sender not in self._came:
            raise FrameError(Refusal.UNKNOWN_SENDER, f"{header.sender} has opened no channel on this connection")
        if header.sender not in self.channels:
            self.unasked(header.sender, header.receiver)
            return False
        return True

    def _on_open(self, frame: Frame) -> None:
        parse_fields(frame.body, int)
        player = frame.sender
        if player in self.channels or player in self._early:
            raise FrameError(Refusal.BAD_CONTROL, f"{player} opened its channel twice")
        if not self._admission.may_open(player):
            limits = f"{self.options.opening_burst} at once and {self.options.openings_per_second} a second"
            raise FrameError(Refusal.TOO_FAST, f"{player} opens more channels than {limits}")
        self._came.add(player)
        if self._accept is None:
            self._early[player] = frame
        else:
            self._open(frame, self._accept)

    def _open(self, frame: Frame, accept: Accept) -> None:
        """Open the channel that `frame` asks for, if its player may come and the pair has no other."""
        (number,) = parse_fields(frame.body, int)
        player = frame.sender
        excluded = self._excluded(player)
        if excluded is not None:
            self.note_refusal(excluded)
            self.say(player, BYE, pack_reason(number, reason=str(excluded)))
            return
        if not self._make_room(player):
            error = FrameError(Refusal.ALREADY_CONNECTED, f"{player} is already connected")
            self.note_refusal(error)
            self.say(player, BYE, pack_reason(number, reason=error.detail))
            return
        channel = TcpChannel(self.state, self.player, player)
        channel.join(self, player, number)
        self.say(player, OPENED, pack([number]))
        channel.sink = accept(channel)

    def _make_room(self, player: str) -> bool:
        """True if `player` may open a channel: it has none, or one over a connection that seems dead.

        A living channel is never replaced, or whoever learnt a name could push its owner out. A connection
        that has missed its keep-alive is: its owner may have lost it without our hearing of it, and comes
        back. It may also have been lost a moment ago: then the ping, which nobody answers, brings a reset from
        the owner's system, and the owner's next attempt finds the channel gone.
        """
        old = self.state.channels.get((self.player, player))
        if old is None:
            return True
        if old.session is None:
            return False
        if not old.session.is_doubtful():
            old.session.probe()
            return False
        old.session.cut("replaced by a newer connection")
        return True
