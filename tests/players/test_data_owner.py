"""A data owner between a model owner and compute nodes by hand: what it answers, keeps, and tells whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.channels import Listener, Recorder
from support.runs import Bad, Vector, scenario

from asyncagg.crypto.digest import parameter_digest
from asyncagg.crypto.keystream import Uniforms
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.learning.owners import DataOwner
from asyncagg.net.frames import Limits
from asyncagg.net.memory import MemoryNetwork
from asyncagg.players.base import PlayerEnvironment
from asyncagg.players.data_owner import DataOwnerPlayer, OwnerPart
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.outcome import OwnNote
from asyncagg.players.published import as_published, pack_parameters
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, node_name, owner_name
from asyncagg.runs.trace import Trace
from asyncagg.scenario import parse
from asyncagg.vectors.packing import unpack

ME = owner_name(1)
OWNERS = 4
SECRET = "patient 4711"
VALUES = np.linspace(-1, 1, 60)
PARAMETERS = {"vector": np.arange(60, dtype=np.float64)}


class Counting(Vector):
    """Knows the rounds in which it was asked."""

    def __init__(self, values: np.ndarray, weight: int = 1) -> None:
        super().__init__(values, weight)
        self.rounds: list[int] = []

    def compute_gradient(self, parameters: dict[str, np.ndarray], round: int) -> Any:
        self.rounds.append(round)
        return super().compute_gradient(parameters, round)


class Inline:
    """Works at once, or, for a gradient, after some virtual seconds."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    async def run(self, cost: e.Cost, work: Callable[[], Any]) -> Any:
        await asyncio.sleep(self.seconds if cost.gradients else 0)
        return work()


class Place:
    """One owner, and what others hear of it."""

    def __init__(self, player: DataOwnerPlayer, experiment: Experiment, others: dict[str, Listener]) -> None:
        self.player = player
        self.experiment = experiment
        self.others = others
        self.notes: list[OwnNote] = []
        self.serving = asyncio.create_task(player.run(None))

    def say(self, peer: str, label: Label, message: m.Message) -> None:
        kind, body, payload = m.encode(label, message)
        self.others[peer].channels[ME].send(kind, body, payload)

    def publish(self, label: Label, peer: str = MODEL_OWNER, **changes: Any) -> None:
        described, data = pack_parameters(as_published(PARAMETERS))
        cohort = m.to_bitmap(range(OWNERS), OWNERS)
        said = m.Publish(data, described, cohort, b"", b"")
        self.say(peer, label, replace(said, **changes))

    def heard(self, peer: str) -> list[tuple[Label, m.Message]]:
        """What the owner has told this peer, in order."""
        frames = self.others[peer].recorder.frames
        return [m.decode(frame.kind, frame.body, bytes(frame.payload)) for frame in frames]

    def kinds(self, peer: str) -> list[tuple[Label, str]]:
        return [(label, message.kind) for label, message in self.heard(peer)]


@asynccontextmanager
async def place(
    owner: DataOwner | None = None,
    *,
    silent: Callable[[int], Any] = lambda round_index: None,
    weighted: bool = True,
    store: LedgerStore | None = None,
    protocol: str = "plain",
    gradient_seconds: float = 0,
) -> AsyncIterator[Place]:
    experiment = prepare(parse(scenario(protocol, OWNERS, aggregation={"weighting": "examples", "max_weight": 9})))
    network = MemoryNetwork(Limits(dict.fromkeys(m.KINDS, (4096, 1 << 20))))
    others = {}
    for name in (MODEL_OWNER, *(node_name(index) for index in range(3))):
        others[name] = Listener(Recorder(name))
        await network.listen(name, others[name].accept)
    notes: list[OwnNote] = []
    environment = PlayerEnvironment(
        network=network,
        executor=Inline(gradient_seconds),
        trace=Trace(),
        deadlines=experiment.deadlines(),
        permit_limit_ns=10**9,
        start_ns=0,
        permissions=experiment.permissions,
        note_own=notes.append,
    )
    part = OwnerPart(
        owner=owner or Vector(VALUES, 3),
        layout=experiment.layout,
        encoder=experiment.encoder,
        weighted=weighted,
        draws_key=experiment.draws_key(1),
        store=store,
        silent_from=silent,
    )
    randomness = InsecureSeededRandomness(0, "owner")
    player = DataOwnerPlayer(ME, environment, experiment.terms(bytes(16)), experiment.protocol, part, randomness, None)
    there = Place(player, experiment, others)
    there.notes = notes
    await asyncio.sleep(1)
    try:
        yield there
    finally:
        if not there.serving.done():
            there.say(MODEL_OWNER, Label(0, 0), m.Finish("done"))
        await there.serving
        await network.close()


# -- an attempt that goes well ----------


async def test_every_node_gets_its_slice_of_the_encoded_vector_and_the_owner_keeps_its_input() -> None:
    async with place() as there:
        there.publish(Label(2, 1))
        await asyncio.sleep(1)
        digest = parameter_digest(as_published(PARAMETERS))
        assert there.heard(LEAD)[0] == (Label(2, 1), m.Joined(digest))
        terms, encoder = there.player.terms, there.experiment.encoder
        words = encoder.encode(VALUES, 3, Uniforms(there.experiment.draws_key(1)(Label(2, 1)))).words
        expected = terms.plan.extend(words, 3, terms.ring)
        for node in range(3):
            (sent,) = (said for _, said in there.heard(node_name(node)) if isinstance(said, m.ClearSlice))
            start, stop = terms.slice_bounds(node)
            assert (unpack(sent.data, stop - start, terms.ring.bits) == expected[start:stop]).all()
        kept = there.player.kept
        assert kept is not None
        assert (kept.label, kept.weight, kept.clipped) == (Label(2, 1), 3, 0)
        assert kept.values.tolist() == VALUES.tolist()
        assert there.player.trouble is None
        assert there.kinds(MODEL_OWNER) == []


@pytest.mark.parametrize(("weighted", "weight"), [(True, 5), (False, 1)])
async def test_a_weight_counts_where_examples_do_and_is_an_integer_of_pythons(weighted: bool, weight: int) -> None:
    async with place(Bad(({"vector": VALUES}, np.uint8(5))), weighted=weighted) as there:
        there.publish(Label(0, 1))
        await asyncio.sleep(1)
        assert there.player.kept is not None
        assert (there.player.kept.weight, type(there.player.kept.weight)) == (weight, int)


async def test_a_later_attempt_ends_the_former_and_an_earlier_one_is_not_begun() -> None:
    owner = Counting(VALUES)
    async with place(owner, gradient_seconds=10) as there:
        there.publish(Label(1, 1))
        await asyncio.sleep(5)
        there.publish(Label(1, 2))
        await asyncio.sleep(5)
        there.publish(Label(0, 7))
        there.publish(Label(1, 2))
        await asyncio.sleep(20)
        assert owner.rounds == [1]
        assert {label for label, _ in there.kinds(LEAD)} == {Label(1, 2)}


# -- who may tell an owner what ----------


async def test_only_the_model_owner_begins_an_attempt_and_ends_the_run() -> None:
    owner = Counting(VALUES)
    async with place(owner) as there:
        there.publish(Label(0, 1), peer=node_name(1))
        there.say(LEAD, Label(0, 1), m.Finish("over"))
        await asyncio.sleep(1)
        assert (owner.rounds, there.serving.done()) == ([], False)
        there.say(MODEL_OWNER, Label(0, 0), m.Finish("out of owners"))
        await there.serving
        assert there.player.ending == "out of owners"


async def test_the_lead_alone_excludes_and_of_that_nobody_need_be_told() -> None:
    async with place(protocol="pairwise") as there:
        there.publish(Label(0, 1))
        await asyncio.sleep(1)
        there.say(node_name(1), Label(0, 1), m.Excluded("you are too late"))
        there.say(LEAD, Label(0, 0), m.Excluded("that was another"))
        await asyncio.sleep(1)
        (task,) = there.player._tasks
        assert not task.done()
        there.say(LEAD, Label(0, 1), m.Excluded("you are too late"))
        await asyncio.sleep(1)
        assert task.done()
        assert "failed" not in [kind for _, kind in there.kinds(LEAD)]
        assert there.player.trouble is None


async def test_an_exclusion_that_overtakes_the_publication_holds() -> None:
    async with place(protocol="pairwise") as there:
        there.say(LEAD, Label(0, 1), m.Excluded("you are too late"))
        await asyncio.sleep(1)
        there.publish(Label(0, 1))
        await asyncio.sleep(1)
        (task,) = there.player._tasks
        assert task.done()
        assert there.kinds(LEAD) == []


# -- what goes wrong ----------


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (ValueError(SECRET), "ValueError at runs.py:"),
        (SystemExit(SECRET), "SystemExit at runs.py:"),
        (None, "compute_gradient must return (dict of arrays, weight), not None"),
        (({"vector": VALUES[:-1]}, 1), "'vector' of shape (60,), as in gradient_shapes, and it has another"),
        (({"vector": VALUES * np.nan}, 1), "compute_gradient returned NaN or infinity in 'vector' (finite numbers)"),
        (({"vector": VALUES}, 10), "a weight from 1 to 9, since the run's max_weight is 9"),
        (({"vector": VALUES, SECRET: VALUES}, 1), "arrays named 'vector': others are there"),
    ],
)
async def test_an_owner_without_a_usable_gradient_tells_the_lead_and_nothing_of_its_data(what: Any, told: str) -> None:
    async with place(Bad(what)) as there:
        there.publish(Label(0, 1))
        await asyncio.sleep(1)
        ((label, message),) = there.heard(LEAD)
        assert (label, type(message)) == (Label(0, 1), m.Failed)
        assert told in message.reason
        assert SECRET not in message.reason
        assert there.player.kept is None
        (note,) = there.notes
        assert (note.player, note.round, note.text) == (ME, 0, there.player.trouble)
        assert (SECRET in note.trace) == isinstance(what, BaseException)
        assert all(there.kinds(node_name(node)) == [] for node in (1, 2))
        there.player.part = replace(there.player.part, owner=Vector(VALUES))
        there.publish(Label(0, 2))  # it takes part again
        await asyncio.sleep(1)
        assert [kind for _, kind in there.kinds(node_name(1))] == ["clear-slice"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": b"1234"}, "parameter 'vector': 480 bytes from 0, only 4 were sent"),
        ({"arrays": ()}, "parameters take 0 bytes, 480 were sent"),
        ({"arrays": (("vector", (60,), "|O"),)}, "dtype '|O'"),
    ],
)
async def test_parameters_that_are_none_are_told_to_the_lead(changes: dict[str, Any], reason: str) -> None:
    owner = Counting(VALUES)
    async with place(owner) as there:
        there.publish(Label(0, 1), **changes)
        await asyncio.sleep(1)
        ((_, message),) = there.heard(LEAD)
        assert isinstance(message, m.Failed)
        assert reason in message.reason
        assert owner.rounds == []


async def test_an_attempt_that_its_account_may_hold_already_is_not_played_again(tmp_path: Path) -> None:
    store = LedgerStore(OWNERS, tmp_path / "account.jsonl")
    store.account.settled(Label(3, 2), bytes(32), m.to_bitmap(range(OWNERS), OWNERS))
    owner = Counting(VALUES)
    async with place(owner, store=store, protocol="secagg") as there:
        for label in (Label(3, 1), Label(3, 2)):
            there.publish(label)
            await asyncio.sleep(1)
        assert owner.rounds == []
        assert [(label, type(message)) for label, message in there.heard(LEAD)] == [
            (Label(3, 1), m.Failed),
            (Label(3, 2), m.Failed),
        ]
        assert there.player.trouble == "not newer than round 3, attempt 2, of this owner's account"
        there.publish(Label(3, 3))
        await asyncio.sleep(1)
        assert owner.rounds == [3]


async def test_half_a_line_that_a_crash_left_in_its_account_is_told(tmp_path: Path) -> None:
    path = tmp_path / "account.jsonl"
    store = LedgerStore(OWNERS, path)
    store.account.settled(Label(3, 2), bytes(32), m.to_bitmap(range(OWNERS), OWNERS))
    store.save()
    path.write_bytes(path.read_bytes() + b'{"round":4,"att')
    async with place(Counting(VALUES), store=LedgerStore(OWNERS, path), protocol="secagg") as there:
        (record,) = [each for each in there.player.environment.trace.records if each.event == "fault"]
        assert record.detail == "its account ended in half a line, 15 bytes, which were cut off"
        there.publish(Label(3, 2))
        await asyncio.sleep(1)
        assert there.player.trouble == "not newer than round 3, attempt 2, of this owner's account"


# -- a fault that silences it ----------


async def test_a_silenced_owner_says_nothing_more_in_its_round_whatever_is_tried_and_speaks_in_the_next() -> None:
    owner = Counting(VALUES)
    async with place(owner, silent=lambda round_index: "upload" if round_index == 0 else None) as there:
        for label in (Label(0, 1), Label(0, 2), Label(1, 1)):
            there.publish(label)
            await asyncio.sleep(1)
        assert [label for label, _ in there.kinds(LEAD)] == [Label(0, 1), Label(1, 1), Label(1, 1)]
        assert there.kinds(node_name(1)) == [(Label(1, 1), "clear-slice")]
        assert owner.rounds == [0, 1]
        records = there.player.environment.trace.records
        faults = [(each.round, each.attempt, each.phase, each.detail) for each in records if each.event == "fault"]
        assert faults == [(0, 1, "upload", "drop")]


async def test_a_silenced_owner_whose_gradient_fails_is_as_silent() -> None:
    async with place(Bad(None), silent=lambda round_index: "upload") as there:
        there.publish(Label(0, 1))
        await asyncio.sleep(1)
        assert there.player.trouble is not None
        assert there.kinds(LEAD) == []
