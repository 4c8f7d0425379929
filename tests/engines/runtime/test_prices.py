"""The cost model: prices of work in virtual time, by player, and what this machine's prices are."""

import asyncio

import pytest
from support.runs import run, scenario

from asyncagg.engines.experiment import prepare
from asyncagg.engines.runtime.executors import InlineExecutor, SlowedExecutor, ThreadExecutor
from asyncagg.engines.runtime.prices import player_prices, price_ns
from asyncagg.net.clock import now_ns
from asyncagg.protocols.effects import Cost
from asyncagg.scenario import parse
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.compute import ComputeSection, device
from asyncagg.scenario.values.toml import to_toml
from asyncagg.studies.calibrate import calibrate

MS = 1_000_000


def untold(began_ns: int, ended_ns: int) -> None:
    """Nobody asks when the work was done."""


def prices(**keys: str) -> ComputeSection:
    return ComputeSection.model_validate(keys)


def test_counts_cost_their_price_and_bytes_their_rate() -> None:
    table = prices(key_agreement="24 us", share="3 us", keystream="9 GB", add="1 GB", encode="400 MB", gradient="2 s")
    assert price_ns(table, Cost(key_agreements=10, shares=7)) == 10 * 24_000 + 7 * 3_000
    assert price_ns(table, Cost(keystream_bytes=9_000_001)) == 1_000_001  # the last byte rounds up
    assert price_ns(table, Cost(added_bytes=5, encoded_values=50, gradients=1)) == 5 + 1000 + 2_000_000_000
    assert price_ns(table, Cost(boxes=9, signatures=9, key_pairs=9)) == 0
    assert price_ns(ComputeSection(), Cost(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)) == 0


def test_devices_are_slower_than_the_server_by_a_factor() -> None:
    work = Cost(key_pairs=4, key_agreements=4, shares=4, boxes=4, signatures=4)
    assert (
        price_ns(device("phone"), work) == 2 * price_ns(device("laptop"), work) == 4 * price_ns(device("server"), work)
    )
    assert device("server").keystream == 2 * (device("laptop").keystream or 0)


def test_a_price_beside_a_device_replaces_the_devices() -> None:
    table = prices(device="phone", share="1 us", gradient="3 s")
    assert (table.share_ns, table.gradient_ns, table.key_pair_ns) == (1000, 3_000_000_000, device("phone").key_pair_ns)


def test_every_player_pays_the_prices_of_its_device() -> None:
    owners = {"device": "laptop", "groups": [{"count": 1, "device": "phone"}, {"count": 1, "link": "broadband"}]}
    of = player_prices(parse(scenario("plain", owners_table=owners, compute={"device": "server", "gradient": "1 s"})))
    assert [of(f"data-owner-{index}").device for index in range(3)] == ["phone", "laptop", "laptop"]
    assert of("data-owner-0").gradient_ns == 1_000_000_000
    assert of("compute-node-0").device == of("model-owner").device == "server"


async def test_a_player_has_one_processor_and_work_takes_turns() -> None:
    executor = InlineExecutor(prices(share="1 ms"), lambda: 2.0)
    ended: list[tuple[str, int]] = []

    async def work(name: str, shares: int) -> None:
        assert await executor.run(Cost(shares=shares), lambda: name, untold) == name
        ended.append((name, now_ns()))

    await asyncio.gather(work("first", 3), work("second", 1), work("free", 0))
    assert ended == [("free", 0), ("first", 6 * MS), ("second", 8 * MS)]


async def test_work_that_fails_has_cost_its_price() -> None:
    executor = InlineExecutor(prices(share="1 ms"), lambda: 1.0)
    with pytest.raises(ZeroDivisionError):
        await executor.run(Cost(shares=5), lambda: 1 // 0, untold)
    assert now_ns() == 5 * MS


@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_a_slow_player_of_a_real_engine_waits_for_what_its_work_would_take() -> None:
    threads = ThreadExecutor()

    class Worker:
        """Takes 3 ms of the loop's time."""

        async def run(self, cost: Cost, work: object, spent: object) -> str:
            await asyncio.sleep(0.003)
            return "done"

    slowed = SlowedExecutor(threads, lambda: 4.0)
    slowed._executor = Worker()  # type: ignore[assignment]
    assert await slowed.run(Cost(), lambda: None, untold) == "done"
    assert now_ns() == 12 * MS
    threads.close()


def test_a_gradient_takes_its_price_in_sim() -> None:
    free, priced = (run("plain", compute=compute) for compute in ({}, {"gradient": "1500 ms"}))
    taken = [round(each["rounds"][0]["seconds"]["total"] * 1e9) for each in (free, priced)]
    assert taken == [0, 1_500 * MS]
    assert free.means[0].tobytes() == priced.means[0].tobytes()


def test_a_phone_that_computes_too_long_loses_the_round() -> None:
    result = run(
        "secagg",
        owners=6,
        owners_table={"groups": [{"count": 1, "device": "phone"}]},
        compute={"key_pair": "1 ns"},
        phases={phase: {"deadline": "50 us"} for phase in ("publish", "advertise")},
    )
    assert result["rounds"][0]["dropped"].keys() == {"data-owner-0"}
    assert result["rounds"][0]["exact"] is True


def test_calibration_is_a_table_that_a_scenario_takes(tmp_path) -> None:
    table = calibrate(prepare(parse(scenario("plain"))), period_ns=100_000)
    assert set(table) == {key for key in ComputeSection.key_names() if key != "device"}
    assert "gradient" not in calibrate(period_ns=100_000)
    (tmp_path / "a.toml").write_text('name = "a"\n' + to_toml({"compute": table}))
    measured = load(tmp_path / "a.toml").compute
    assert all(getattr(measured, field) for field in ComputeSection.model_fields if field != "device")
    assert measured.signature_ns > measured.box_ns, "a check of a signature takes many times what a box does"
