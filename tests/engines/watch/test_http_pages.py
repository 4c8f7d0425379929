"""The endpoint answers what it should and nothing else, and costs next to nothing whatever is done to it."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from support.observed import Watched, samples

from asyncagg.engines.watch.health import health
from asyncagg.engines.watch.http_pages import Page, PageServer, ServerBounds, parse_address
from asyncagg.engines.watch.interface import View
from asyncagg.engines.watch.observers import observe
from asyncagg.net.errors import ListenFailed

real = pytest.mark.asyncio(loop_factories=["real", "uvloop"])
PAGES = {"/metrics": lambda: Page("text/plain", b"page\n"), "/health": lambda: Page("application/json", b"{}\n", 503)}
QUICK = ServerBounds(connections=3, request_bytes=256, seconds=5, pause=0)


async def say(exposition: PageServer, request: bytes) -> bytes:
    """Everything that comes back."""
    host, _, port = exposition.where.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def status(exposition: PageServer, request: bytes) -> int:
    return int((await say(exposition, request)).split()[1])


@pytest.fixture
async def exposition():
    made = PageServer("127.0.0.1", 0, PAGES, QUICK)
    made.start()
    yield made
    await made.close()


@real
async def test_a_page_comes_whole_with_its_head(exposition):
    head, _, body = (await say(exposition, b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    assert first == "HTTP/1.1 200 OK"
    assert {"Content-Type: text/plain", "Content-Length: 5", "Connection: close", "Cache-Control: no-store"} <= {*rest}
    assert body == b"page\n"
    head, _, body = (await say(exposition, b"HEAD /metrics HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"Content-Length: 5" in head
    assert body == b""


@real
@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (b"GET /health HTTP/1.1", 503),
        (b"GET / HTTP/1.1", 404),
        (b"GET /metrics/ HTTP/1.1", 404),
        (b"GET /../etc/passwd HTTP/1.1", 404),
        (b"GET http://x/metrics HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"get /metrics HTTP/1.1", 405),
        (b"GET /metrics HTTP/2", 400),
        (b"GET  /metrics HTTP/1.1", 400),
        (b"GET /metrics", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"", 400),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1", 431),
    ],
)
async def test_anything_else_is_refused_by_name(exposition, request_line, expected):
    assert await status(exposition, request_line + b"\r\n\r\n") == expected


@real
async def test_a_request_that_stops_half_way_is_refused(exposition):
    host, port = "127.0.0.1", int(exposition.where.rpartition(":")[2])
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /metrics HTTP/1.1\r\n")
    writer.write_eof()
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


@real
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_page_that_fails_is_told_there_in_a_word_and_here_once(method):
    def page() -> Page:
        raise ValueError("a detail of ours")

    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    exposition = PageServer("127.0.0.1", 0, PAGES | {"/broken": page}, QUICK)
    exposition.start()
    for _ in range(3):
        answer = await say(exposition, method + b" /broken HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b"detail" not in answer
        assert answer.endswith(b"\r\n\r\n" if method == b"HEAD" else b"\r\n\r\nInternal Server Error\n")
    assert await status(exposition, b"GET /metrics HTTP/1.1\r\n\r\n") == 200
    await exposition.close()
    (context,) = told
    assert context["message"] == "the page /broken cannot be made"
    assert str(context["exception"]) == "a detail of ours"


@real
async def test_idle_connections_are_cut_and_nobody_else_waits_for_them(exposition):
    port = int(exposition.where.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * QUICK.connections)]
    assert await status(exposition, b"GET /metrics HTTP/1.1\r\n\r\n") == 200
    assert len(exposition._answering) <= QUICK.connections
    for reader, writer in idle[: 2 * QUICK.connections]:  # they made room, long before their time was up
        async with asyncio.timeout(1):
            assert await reader.read() == b""
        writer.close()
    for _, writer in idle[2 * QUICK.connections :]:
        writer.close()


@real
async def test_who_says_nothing_is_cut_when_its_time_is_up():
    exposition = PageServer("127.0.0.1", 0, PAGES, ServerBounds(seconds=0.01))
    exposition.start()
    assert await say(exposition, b"") == b""
    await exposition.close()


@real
async def test_who_does_not_read_is_cut_when_its_time_is_up():
    big = {"/big": lambda: Page("text/plain", bytes(50_000_000))}
    exposition = PageServer("127.0.0.1", 0, big, ServerBounds(seconds=0.05))
    exposition.start()
    port = int(exposition.where.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        assert await say(exposition, b"") == b""  # taken after it, and given the same time
        got = 0
        while data := await asyncio.to_thread(slow.recv, 1 << 20):
            got += len(data)
        assert 0 < got < 50_000_000
    await exposition.close()


@real
async def test_so_many_a_second_are_looked_at_and_no_more():
    """Whoever asks all the time takes a small part of the loop's."""
    asked = 0

    def page() -> Page:
        nonlocal asked
        asked += 1
        return Page("text/plain", b"")

    exposition = PageServer("127.0.0.1", 0, {"/": page}, ServerBounds(pause=0.02))
    exposition.start()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(say(exposition, b"GET / HTTP/1.1\r\n\r\n") for _ in range(8)))
    assert asked == 8
    assert loop.time() - began >= 7 * 0.02
    await exposition.close()


@real
async def test_the_address_is_held_from_the_start_and_given_back_at_the_end():
    first = PageServer("127.0.0.1", 0, PAGES)
    port = int(first.where.rpartition(":")[2])
    with pytest.raises(
        ListenFailed, match=rf"^the metrics endpoint cannot listen on 127.0.0.1:{port}: address already in use$"
    ):
        PageServer("127.0.0.1", port, PAGES)
    await first.close()
    second = PageServer("127.0.0.1", port, PAGES)
    second.start()
    assert await status(second, b"GET /metrics HTTP/1.1\r\n\r\n") == 200
    await second.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_nobody_here_is_refused_by_name(host):
    with pytest.raises(ListenFailed, match=rf"^the metrics endpoint cannot listen on {host}:1: "):
        PageServer(host, 1, PAGES)


def test_addresses():
    assert parse_address("9464") == ("127.0.0.1", 9464)
    assert parse_address("0.0.0.0:0") == ("0.0.0.0", 0)  # noqa: S104
    assert parse_address("[::1]:9464") == ("::1", 9464)
    assert parse_address("node.example:1") == ("node.example", 1)


# -- health ----------------------------------------------------------------------------------------------------------


def test_health_tells_how_far_a_process_has_come(monkeypatch):
    view = View("data-owner-0..49")
    page = health(view)
    said = json.loads(page.body)
    nothing = {"round": None, "attempt": None, "phase": None, "peers": 0}
    assert said == {"status": "starting", "player": "data-owner-0..49", "role": "data-owner", **nothing}
    codes = {}
    for each in ("starting", "ok", "finished", "failed"):
        view.turned(each)
        codes[each] = health(view).status
    assert codes == {"starting": 503, "ok": 200, "finished": 200, "failed": 503}


def test_health_knows_round_attempt_phase_and_peers_while_it_runs(monkeypatch):
    watched = Watched("compute-node-0", alone=True)
    seen: list[dict] = []
    watched.observation.view.turned("ok")

    def look(record):
        if record.event == "phase":
            seen.append(json.loads(health(watched.view).body))

    monkeypatch.setattr(watched.metrics, "record", look)
    watched.run(monkeypatch, "secagg", 4, rounds=2)
    assert [(each["round"], each["attempt"]) for each in seen] == [(0, 1)] * 6 + [(1, 1)] * 6
    assert [each["phase"] for each in seen] == ["publish", "advertise", "share", "upload", "unmask", "reveal"] * 2
    assert all(each["peers"] == 1 + 2 + 4 for each in seen)


# -- together --------------------------------------------------------------------------------------------------------


@real
async def test_everything_is_attached_by_one_call(capsys):
    observation = observe("compute-node-1", log="json", metrics="127.0.0.1:0")
    async with observation.opened():
        observation.turned("ok")
        observation.refused("10.0.0.1:9", "wrong-run: another run")
        host, _, port = observation.where.rpartition(":")
        assert host == "127.0.0.1"
        endpoint = observation._endpoint
        found = samples((await say(endpoint, b"GET /metrics HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")[2])
        assert found["asyncagg_connections_refused_total", (("reason", "wrong-run"),)] == 1
        assert found["asyncagg_status", (("status", "ok"),)] == 1
        answer = await say(endpoint, b"GET /health HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["player"] == "compute-node-1"
    with socket.socket() as free, pytest.raises(ConnectionRefusedError):
        free.connect((host, int(port)))
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["ok", "refuse"]


@real
async def test_nothing_is_attached_where_nothing_is_wanted(capsys):
    observation = observe("compute-node-1", log=None, metrics=None)
    async with observation.opened():
        observation.turned("failed", "why")
    assert observation.where is None
    assert observation.view.status == "failed"
    assert capsys.readouterr().err == ""
