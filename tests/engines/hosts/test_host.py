"""Runs on many hosts, all on the loop of the test: who is let in, who is not and reads what, who comes late."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hosts import NODES, OWNERS, SECOND, Place, Process, entries, small

import asyncagg
from asyncagg.engines.hosts import compatibility as known
from asyncagg.engines.hosts import follower, process_spec
from asyncagg.net.errors import ListenFailed
from asyncagg.players.ledger_store import StoreError
from asyncagg.scenario.hosts_config import load_config
from asyncagg.version import FORMAT

pytestmark = [pytest.mark.asyncio(loop_factories=["real"]), pytest.mark.timeout(60)]

SHORT = 0.6
"""Seconds after which somebody who will never come is no longer waited for."""


@pytest.fixture(autouse=True)
def _short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "PARTING_NS", SECOND // 5)


async def play(leader: Process, *others: Process) -> tuple[Any, list[str | None]]:
    """The result of the run, and how it ended for the others."""
    finished, *endings = await asyncio.gather(leader.lead(), *(each.serve() for each in others))
    return finished, endings


def processes(place: Place, *names: str, wait: float = 20, **given: Any) -> list[Process]:
    return [Process(place, name, wait=wait, **given) for name in names]


def said(process: Process, kind: str) -> list[str]:
    """The log's lines of this kind."""
    return [line for line in process.lines if re.match(rf"\S+Z \w+ +\S+ {kind}( |$)", line)]


async def until(process: Process, kind: str, about: str = "") -> None:
    """Return when the process has said something of this kind."""
    async with asyncio.timeout(20):
        while not any(about in line for line in said(process, kind)):  # noqa: ASYNC110 (its log is only text)
            await asyncio.sleep(0.02)


async def test_the_means_are_those_of_sim(tmp_path: Path) -> None:
    leader, *others = processes(Place(tmp_path), "model-owner", *NODES, *OWNERS)
    finished, endings = await play(leader, *others)
    assert (finished.result.status, finished.result.reason, endings) == ("ok", None, [None] * 6)
    here = asyncagg.run(small(), engine="sim")
    assert len(here.means) == 2
    for index, mean in here.means.items():
        assert np.load(leader.folder / "means" / f"round-{index}.npy").tobytes() == mean.tobytes()
    assert all(each.observation.view.status == "ok" for each in others)
    assert [line for each in (leader, *others) for line in said(each, "gone")] == []
    assert others[0].lines[0] == f"waiting up to 20 s for model-owner at {leader.post.entries[0].address}"


async def test_owners_of_one_process_share_a_connection_to_each_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, found=entries(["data-owner-0..19"]))
    values = small(20, rounds=1)
    leader, *others = (Process(place, name, values) for name in ("model-owner", *NODES, "data-owner-0..19"))
    counts: dict[str, int] = {}

    def count(each: Process) -> None:
        counts[each.observation.view.name] = sum(len(network._state.sessions) for network in each.site._plain)

    monkeypatch.setattr(leader.observation, "round_ended", lambda result: [count(each) for each in (leader, *others)])
    finished, _ = await play(leader, *others)
    assert (finished.result.status, len(finished.result.rounds[0].survivors)) == ("ok", 20)
    assert counts == {
        "model-owner": 4,
        "compute-node-0": 4,
        "compute-node-1": 3,
        "compute-node-2": 3,
        "data-owner-0..19": 4,
    }


async def test_an_owner_who_comes_late_is_dropped_until_it_is_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    values = small(protocol="pairwise", rounds=25, phases={"advertise": {"deadline": "1 s"}})
    names = ("model-owner", *NODES, *OWNERS[:2])
    leader, *others = (Process(place, name, values, wait=SHORT) for name in names)
    late = Process(place, OWNERS[2], values)

    async def join() -> str | None:
        await until(leader, "ok")
        return await late.serve()

    finished, endings, ending = await asyncio.gather(
        leader.lead(), asyncio.gather(*(each.serve() for each in others)), join()
    )
    assert (finished.result.status, endings, ending) == ("ok", [None] * 5, None)
    survivors = [len(each.survivors) for each in finished.result.rounds]
    assert (survivors[0], survivors[-1]) == (2, 3)
    (line,) = (line for line in leader.lines if "did not join" in line)
    assert line.startswith("data-owner-2: did not join within 0.6 s (asyncagg serve data-owner-2, on 127.0.0.1)")


async def test_a_missing_node_fails_the_run_by_name(tmp_path: Path) -> None:
    leader, *others = processes(Place(tmp_path), "model-owner", *NODES[:2], *OWNERS, wait=SHORT)
    finished, endings = await play(leader, *others)
    assert finished.result.reason == "preflight: compute-node-2 did not join"
    assert endings[:2] == ["preflight: compute-node-2 did not join"] * 2
    for ending in endings[2:]:
        assert ending is not None
        assert ending.startswith("cannot reach compute-node-2 at 127.0.0.1:")
        assert ending.endswith("connection refused")
    assert len([line for line in leader.lines if "did not join within" in line]) == 1


async def test_who_has_another_scenario_is_told_which_tables_differ(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (leader,) = processes(place, "model-owner", wait=SHORT)
    other = Process(place, "compute-node-1", small(aggregation={"retries": 9}), wait=SHORT)
    finished, endings = await play(leader, other)
    because = "has another scenario, which differs in aggregation (the same file, --set and --seed everywhere)"
    assert endings == [f"refused by model-owner: not-admitted: compute-node-1 {because}"]
    pattern = rf"compute-node-1: did not join within [\d.]+ s: {re.escape(because)}"
    assert any(re.fullmatch(pattern, line) for line in leader.lines)
    assert len(said(leader, "refuse")) == 1
    assert finished.result.status == "failed"


async def test_who_runs_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    (leader,) = processes(place, "model-owner", wait=SHORT)
    monkeypatch.setattr(known, "__version__", "0.0.9")
    (old,) = processes(place, "data-owner-0", wait=SHORT)
    _, endings = await play(leader, old)
    assert endings[0] is not None
    assert "not-admitted: data-owner-0 runs asyncagg '0.0.9', and here it is" in endings[0]


async def test_who_speaks_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    (leader,) = processes(place, "model-owner", wait=SHORT)
    monkeypatch.setattr(process_spec, "FORMAT", FORMAT + 1)
    (newer,) = processes(place, "data-owner-0", wait=SHORT)
    _, endings = await play(leader, newer)
    said_of_it = f"data-owner-0 speaks format {FORMAT + 1}, this side format {FORMAT}: run the same asyncagg on both"
    assert endings == [f"refused by model-owner: wrong-version: {said_of_it}"]
    assert all(said_of_it in line for line in said(leader, "refuse"))
    assert len(said(leader, "refuse")) == 1


async def test_a_process_that_gives_up_says_why_to_the_model_owner(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (leader,) = processes(place, "model-owner", wait=1.2)
    hopeless = Process(place, "data-owner-0", wait=0.4)
    _, (ending,) = await play(leader, hopeless)
    assert ending is not None
    (refused,) = said(leader, "refuse")
    assert f"data-owner-0 gave up: {ending}" in refused
    assert said(leader, "joined") == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("will not talk to model-owner: its certificate is not from our authority", "distrusted"),
        ("refused by model-owner: not-tls: only TLS is spoken here", "not-tls"),
    ],
    ids=["another authority", "plain"],
)
async def test_strangers_are_refused_by_name(tmp_path: Path, theirs: str, ours: str) -> None:
    place = Place(tmp_path / "one")
    (leader,) = processes(place, "model-owner", wait=SHORT)
    elsewhere = Place(tmp_path / "other", keys=ours != "not-tls", found=place.entries)
    (stranger,) = processes(elsewhere, "data-owner-0", wait=SHORT)
    finished, endings = await play(leader, stranger)
    assert endings == [theirs]
    assert finished.result.status == "failed"
    assert len(said(leader, "refuse")) <= 1


async def test_tls_where_none_is_spoken_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path / "one", keys=False)
    (leader,) = processes(place, "model-owner", wait=SHORT)
    (owner,) = processes(Place(tmp_path / "other", found=place.entries), "data-owner-0", wait=SHORT)
    _, endings = await play(leader, owner)
    assert endings == ["will not talk to model-owner: it does not speak TLS"]


async def test_somebody_elses_port_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    mixed = place.entries | {"model-owner": place.entries["compute-node-1"]} | {"compute-node-1": "127.0.0.1:9"}
    leader, node = processes(place, "model-owner", "compute-node-1", wait=SHORT)
    lost = Process(place, "data-owner-0", wait=SHORT, entries=Place(tmp_path / "mixed", found=mixed).config.entries)
    _, (_, ending) = await play(leader, node, lost)
    assert ending is not None
    assert ending.startswith("will not talk to model-owner: its certificate is for compute-node-1")


async def test_the_second_of_a_name_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    leader, *others = processes(place, "model-owner", *NODES, *OWNERS[:2])
    last, twin = Process(place, OWNERS[2]), Process(place, OWNERS[0], wait=SHORT)

    async def later() -> list[str | None]:
        await until(leader, "joined", "peer=data-owner-0")
        return [await twin.serve(), await last.serve()]

    (finished, endings), ended = await asyncio.gather(play(leader, *others), later())
    assert ended == ["refused by compute-node-0: data-owner-0 is already connected", None]
    assert (finished.result.status, endings) == ("ok", [None] * 5)


async def test_an_address_in_use_is_told_before_anything_begins(tmp_path: Path) -> None:
    place = Place(tmp_path)
    host, _, port = place.entries["compute-node-0"].rpartition(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(ListenFailed, match=rf"^compute-node-0 cannot listen on {host}:{port}: address already in use$"),
    ):
        Process(place, "compute-node-0")


async def test_an_address_to_listen_at_may_differ_from_the_one_to_dial(tmp_path: Path) -> None:
    """As behind a translator of addresses: it has none of those in config.json."""
    outside, inside = Place(tmp_path / "outside"), entries()
    outward = entries() | {"model-owner": "192.0.2.1:4440"}
    place = Place(tmp_path / "inside", found=outward)
    port = int(inside["model-owner"].rpartition(":")[2])
    with pytest.raises(ListenFailed, match=r"192\.0\.2\.1:4440: cannot assign requested address"):
        Process(place, "model-owner")
    leader = Process(place, "model-owner", wait=SHORT, listen=("127.0.0.1", port))
    found = load_config(outside.folder / "config.json").entries
    dialled = [replace(entry, port=port) if entry.name == "model-owner" else entry for entry in found]
    owner = Process(place, "data-owner-0", wait=SHORT, entries=dialled)
    await play(leader, owner)
    assert any(line.startswith("model-owner: reached, run ") for line in owner.lines)


async def test_an_account_that_cannot_be_read_ends_its_owner_in_one_line(tmp_path: Path) -> None:
    place = Place(tmp_path)
    leader, owner = processes(place, "model-owner", "data-owner-0", wait=SHORT)
    kept = owner.post.ledgers / leader.run.hex()[:12] / "data-owner-0.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"schema": 99}')

    async def tried() -> None:
        with pytest.raises(StoreError, match=f"^{re.escape(str(kept))}: is no account of this run"):
            await owner.serve()

    await asyncio.gather(leader.lead(), tried())
