"""TLS between players: certificates good and bad, who is told what, and what a wire shows."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.authority import DAY, Authority
from support.channels import LIMITS, RUN, SECOND, Listener, Recorder
from support.raw_peer import raw_peer

from asyncagg.net.channel import Channel
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import ConnectFailed, Refused, Untrusted
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.network import Addresses, TcpNetwork
from asyncagg.net.tls.context import Tls

pytestmark = [pytest.mark.asyncio(loop_factories=["real", "uvloop"]), pytest.mark.timeout(20)]

OURS = Authority("ours")


class Refusals(list[str]):
    """What a listener says about those it refuses; a test may wait for it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def note(self, address: str, reason: str) -> None:
        assert address.startswith("127.0.0.1:")
        self.append(reason)
        self._event.set()

    async def one(self) -> str:
        async with asyncio.timeout(10):
            await self._event.wait()
        (reason,) = self
        return reason


@asynccontextmanager
async def network(*players: str, addresses: Addresses, **options: Any) -> AsyncIterator[TcpNetwork]:
    made = TcpNetwork(players, options.pop("run", RUN), LIMITS, addresses, **options)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def listener(tls: Tls | None, **options: Any) -> AsyncIterator[tuple[Addresses, Refusals]]:
    """`node-0` listens; and what it refused."""
    refusals = Refusals()
    addresses: Addresses = {"node-0": ("127.0.0.1", 0)}
    async with network("node-0", addresses=addresses, tls=tls, on_refusal=refusals.note, **options) as listening:
        await listening.listen("node-0", Listener().accept)
        yield addresses, refusals


async def dial(dialling: TcpNetwork, seconds: float = 10) -> Channel:
    return await dialling.dial("owner-0", "node-0", Recorder(), now_ns() + round(seconds * SECOND))


async def refused(addresses: Addresses, tls: Tls | None, **options: Any) -> Refused:
    """How `owner-0` is refused, or refuses, at the first attempt."""
    async with network("owner-0", addresses=addresses, tls=tls, **options) as dialling:
        with pytest.raises(Refused) as caught:
            await dial(dialling)
    return caught.value


# --- certificates


@pytest.mark.parametrize(
    ("names", "later", "verdict", "noted"),
    [
        (
            ["owner-1", "owner-2"],
            0 * DAY,
            "wrong-name: its certificate is for owner-1, owner-2, not for owner-0",
            "wrong-name: its certificate is for owner-1, owner-2, not for owner-0",
        ),
        (
            ["owner-0"],
            -2 * DAY,
            "it says that our certificate has expired",
            r"bad-certificate: its certificate has expired; by this host's clock it is 20..-..-.. ..:.. UTC",
        ),
        (
            ["owner-0"],
            2 * DAY,
            "it says that our certificate is bad, perhaps not valid yet by its clock",
            r"bad-certificate: its certificate is not valid yet; check this host's clock, by which it is .* UTC",
        ),
    ],
)
async def test_a_bad_certificate_of_the_dialler(
    names: list[str], later: datetime.timedelta, verdict: str, noted: str
) -> None:
    async with listener(OURS.tls("node-0")) as (addresses, refusals):
        error = await refused(addresses, OURS.tls(*names, later=later))
        assert str(error) == f"refused by node-0: {verdict}"
        assert not isinstance(error, Untrusted)
        assert re.fullmatch(noted, await refusals.one())


@pytest.mark.parametrize(
    ("names", "later", "verdict", "noted"),
    [
        (
            ["node-1"],
            0 * DAY,
            "its certificate is for node-1, not for node-0",
            "distrusted: it says: wrong-name: its certificate is for node-1, not for node-0",
        ),
        (
            ["node-0"],
            -2 * DAY,
            r"its certificate has expired; by this host's clock it is .* UTC",
            "our-certificate: it says that our certificate has expired",
        ),
        (
            ["node-0"],
            2 * DAY,
            r"its certificate is not valid yet; check this host's clock, by which it is .* UTC",
            "our-certificate: it says that our certificate is bad, perhaps not valid yet by its clock",
        ),
    ],
)
async def test_a_bad_certificate_of_the_listener(
    names: list[str], later: datetime.timedelta, verdict: str, noted: str
) -> None:
    async with listener(OURS.tls(*names, later=later)) as (addresses, refusals):
        error = await refused(addresses, OURS.tls("owner-0"))
        assert re.fullmatch(f"will not talk to node-0: {verdict}", str(error))
        assert isinstance(error, Untrusted)
        assert await refusals.one() == noted


@pytest.mark.parametrize("name", ["theirs", "ours"])
async def test_another_authority_even_of_the_same_name(name: str) -> None:
    async with listener(OURS.tls("node-0")) as (addresses, refusals):
        error = await refused(addresses, Authority(name).tls("owner-0"))
        assert str(error) == "will not talk to node-0: its certificate is not from our authority"
        assert await refusals.one() == "our-certificate: it does not know the authority of our certificate"


@pytest.mark.parametrize("name", ["theirs", "ours"])
async def test_a_dialler_of_another_authority_that_believes_ours(name: str) -> None:
    impostor = Tls.from_pem(OURS.pem, *Authority(name).issue("owner-0"))
    async with listener(OURS.tls("node-0")) as (addresses, refusals):
        error = await refused(addresses, impostor)
        assert str(error) == "refused by node-0: it does not know the authority of our certificate"
        assert await refusals.one() == "bad-certificate: its certificate is not from our authority"


async def test_a_dialler_without_a_certificate() -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(cadata=OURS.pem.decode())
    async with listener(OURS.tls("node-0")) as (addresses, refusals):
        error = await refused(addresses, Tls(bare, bare))
        assert str(error) == "refused by node-0: it wants a certificate, and we have none"
        assert await refusals.one() == "no-certificate: it shows no certificate"


async def test_a_dialler_that_speaks_older_tls_only() -> None:
    old = OURS.tls("owner-0")
    old.client.minimum_version = old.client.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listener(OURS.tls("node-0")) as (addresses, refusals):
        assert str(await refused(addresses, old)) == "will not talk to node-0: it does not speak TLS 1.3"
        assert await refusals.one() == "not-tls: it does not speak TLS 1.3"


async def test_a_fleet_is_certified_for_all_its_players() -> None:
    fleet = [f"owner-{n}" for n in range(1000)]
    async with listener(OURS.tls("node-0")) as (addresses, _):
        async with network(*fleet, addresses=addresses, tls=OURS.tls(*fleet)) as dialling:
            await dial(dialling)
        async with network(*fleet, "owner-x", addresses=addresses, tls=OURS.tls(*fleet)) as dialling:
            with pytest.raises(
                Refused, match="its certificate is for owner-0, owner-1, owner-10 and 997 more, not for"
            ):
                await dial(dialling)


# --- one side without TLS


async def test_a_plain_dialler_at_a_listener_with_tls() -> None:
    async with listener(OURS.tls("node-0")) as (addresses, refusals):
        assert str(await refused(addresses, None)) == "refused by node-0: not-tls: only TLS is spoken here"
        assert await refusals.one() == "not-tls: only TLS is spoken here"


async def test_a_dialler_with_tls_at_a_plain_listener() -> None:
    async with listener(None) as (addresses, refusals):
        error = await refused(addresses, OURS.tls("owner-0"))
        assert str(error) == "will not talk to node-0: it does not speak TLS"
        assert await refusals.one() == "not-plain: TLS is not spoken here"


@asynccontextmanager
async def answering(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Addresses]:
    """Something else than a listener of ours; none of its connections outlives it."""
    writers: list[asyncio.StreamWriter] = []

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    server = await asyncio.start_server(noted, "127.0.0.1", 0)
    try:
        yield {"node-0": server.sockets[0].getsockname()[:2]}
    finally:
        server.close()
        for _ in range(3):  # who was let in just now is handed over
            await asyncio.sleep(0)
        for writer in writers:
            writer.transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_dialler_with_tls_at_something_else() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with answering(serve) as addresses:
        error = await refused(addresses, OURS.tls("owner-0"))
        assert str(error) == "will not talk to node-0: it does not speak TLS"


# --- handshakes that do not end


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_must_end_in_time(data: bytes) -> None:
    async with listener(OURS.tls("node-0"), options=TcpOptions(hello_ns=SECOND // 20)) as (addresses, refusals):
        async with raw_peer(addresses["node-0"]) as peer:
            peer.write(data)
            assert await peer.is_closed()
        assert await refusals.one() == "no-hello: within 0.05 s"


@pytest.mark.parametrize("data", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
async def test_handshakes_under_way_make_room(data: bytes) -> None:
    async with listener(OURS.tls("node-0"), options=TcpOptions(max_waiting=2)) as (addresses, refusals):
        async with raw_peer(addresses["node-0"]) as first, raw_peer(addresses["node-0"]) as second:
            for peer in (first, second):
                peer.write(data)
            async with network("owner-0", addresses=addresses, tls=OURS.tls("owner-0")) as dialling:
                await dial(dialling)
            assert await first.is_closed()
        assert await refusals.one() == "too-many-waiting: made room for another connection"


async def test_who_leaves_during_the_handshake_is_no_offender() -> None:
    async with listener(OURS.tls("node-0")) as (addresses, refusals):
        async with raw_peer(addresses["node-0"]) as peer:
            peer.write(b"\x16\x03")
            peer.writer.write_eof()
            assert await peer.is_closed()
        assert refusals == []


async def test_a_listener_that_leaves_during_the_handshake_is_tried_again() -> None:
    attempts = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(await reader.read(100))
        writer.close()

    async with (
        answering(serve) as addresses,
        network("owner-0", addresses=addresses, tls=OURS.tls("owner-0")) as dialling,
    ):
        with pytest.raises(ConnectFailed, match=r"closed during the TLS handshake|connection reset by peer"):
            await dial(dialling, seconds=0.2)
    assert len(attempts) > 1


async def test_broken_records_end_the_connection() -> None:
    """Whoever writes into a connection of others breaks it, and is heard by nobody."""
    wire = Wire()
    recorder = Recorder()
    async with (
        listener(OURS.tls("node-0")) as (addresses, _),
        wire.between(addresses),
        network("owner-0", addresses=wire.addresses, tls=OURS.tls("owner-0")) as dialling,
    ):
        await dialling.dial("owner-0", "node-0", recorder, now_ns() + 10 * SECOND)
        wire.writers[1].write(b"\x17\x03\x03\x00\x20" + bytes(32))
        await recorder.has(ends=1)
        assert recorder.ends == [("node-0", "connection lost: TLS: decryption failed or bad record mac")]


# --- what the wire shows


class Wire:
    """A relay that keeps what passes."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.writers: list[asyncio.StreamWriter] = []
        self.addresses: Addresses = {}

    @asynccontextmanager
    async def between(self, addresses: Addresses) -> AsyncIterator[None]:
        tasks: list[asyncio.Task[None]] = []

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                self.seen += data
                writer.write(data)
            writer.close()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward = await asyncio.open_connection(*addresses["node-0"])
            self.writers += [onward[1], writer]
            tasks.extend(asyncio.create_task(pump(*pair)) for pair in ((reader, onward[1]), (onward[0], writer)))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.addresses = {"node-0": server.sockets[0].getsockname()[:2]}
        try:
            yield
        finally:
            server.close()
            for writer in self.writers:
                writer.transport.abort()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert outcome is None or isinstance(outcome, OSError)
            await asyncio.sleep(0)


@pytest.mark.parametrize("encrypted", [True, False])
async def test_no_name_run_fact_or_payload_crosses_in_clear(encrypted: bool) -> None:
    wire = Wire()
    secrets = (b"node-0", b"owner-0", b"a player", OURS.name.encode(), RUN, b"a fact", b"a payload", b"vector")
    tls = (OURS.tls("node-0"), OURS.tls("owner-0")) if encrypted else (None, None)
    async with (
        listener(tls[0], facts={"fact": "a fact"}, tells_run=True) as (addresses, _),
        wire.between(addresses),
        network("owner-0", addresses=wire.addresses, tls=tls[1], run=None) as dialling,
    ):
        await dialling.learn_run("node-0", now_ns() + 10 * SECOND)
        channel = await dial(dialling)
        channel.send("vector", b"", b"a payload" * 10_000)
        channel.close("done with owner-0")
    assert len(wire.seen) > 90_000
    crossed = [secret for secret in secrets if secret in wire.seen]
    assert crossed == ([] if encrypted else [s for s in secrets if s not in (b"a player", b"ours")])
