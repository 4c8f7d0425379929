"""A connection that was accepted: a stranger until its hello is found right, then the channels it opens."""

from __future__ import annotations

from net.channel import Accept
from net.errors import FrameError, Refusal, seconds
from net.frames import Everyone, Frame, Gate, pack_frame
from net.hello import (
    BYE,
    HELLO,
    OPEN,
    OPENED,
    TO_LISTENER,
    WELCOME,
    pack,
    pack_reason,
    parse_fields,
    parse_hello,
    stranger_limits,
)
from net.session import Hub, Session, TcpChannel

_STRANGER = "stranger"  # whom we address while nobody has said a name that we believe


class Inbound(Session):
    """The listening end of a connection to `player`. `strangers` are the connections without a hello."""

    def __init__(self, hub: Hub, player: str, accept: Accept, strangers: dict[Inbound, None]) -> None:
        super().__init__(hub, Gate(stranger_limits(hub.options.max_players), Everyone(), (player,)))
        self.player = player
        self._accept: Accept | None = accept
        self._early: dict[str, Frame] = {}
        """By player, what would open a channel to a player that does not listen at present."""
        self._strangers = strangers
        self._addressee = _STRANGER
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
        """Wait for the hello.

        If too many connections do, the one that has waited longest goes: honest peers say hello at once.
        """
        super().made()
        if self.hub.closed:
            self.cut("the network is closed")
            return
        self._strangers[self] = None
        self.set_deadline(self.options.hello_ns, self._no_hello)
        if len(self._strangers) > self.options.max_waiting:
            oldest = next(iter(self._strangers))
            oldest.note_refusal(FrameError(Refusal.TOO_MANY_WAITING, "made room for another connection"))
            oldest.cut("made room for another connection")

    def ended(self, reason: str) -> None:
        """See `Session`."""
        self._strangers.pop(self, None)
        super().ended(reason)

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
        self.finish(f"refused: {reason}")

    def _no_hello(self) -> None:
        self.refuse(FrameError(Refusal.NO_HELLO, f"within {seconds(self.options.hello_ns)}"))

    def _on_hello(self, frame: Frame) -> None:
        hello = parse_hello(frame.body, self.hub.run, self.options.max_players)
        if frame.sender not in hello.players or self.player in hello.players:
            raise FrameError(Refusal.BAD_HELLO, f"must carry {frame.sender} and not {self.player}")
        objection = self.hub.admit(hello, self.transport) if self.hub.admit else None
        if objection is not None:
            raise FrameError(Refusal.NOT_ADMITTED, objection)
        del self._strangers[self]
        self.clear_deadline()
        self.lingers = True
        self._addressee = frame.sender
        self.decoder.set_gate(Gate(self.hub.limits | TO_LISTENER, frozenset(hello.players), (self.player,)))
        self.control(WELCOME, pack({"auth": {}}))

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
