"""Links of a scenario on both engines: who has which, what they do to a round, and that means stay what they are."""

from pathlib import Path

import numpy as np
import pytest
from support.runs import run, scenario

from asyncagg.engines.runtime.links import player_links
from asyncagg.net.links.latency import Constant, Empirical, Lognormal
from asyncagg.net.links.model import Link
from asyncagg.net.links.presets import PRESETS
from asyncagg.scenario import ScenarioError, parse
from asyncagg.scenario.reading.load import load

MS = 1_000_000
PROTOCOLS = ["plain", "pairwise", "additive", "secagg", "secagg+"]


def test_every_player_has_the_link_of_its_group_its_kind_or_everyone() -> None:
    links = player_links(
        parse(
            scenario(
                "plain",
                6,
                owners_table={"link": "home", "groups": [{"count": 2, "link": "satellite"}, {"count": 1}]},
                network={"latency": "1 ms"},
                links={"home": {"preset": "broadband", "bandwidth_up": "2 Mbit"}},
            )
        )
    )
    home = Link(Constant(14 * MS), bandwidth_up=2_000_000, bandwidth_down=100_000_000)
    assert [links(f"data-owner-{index}") for index in range(4)] == [PRESETS["satellite"]] * 2 + [home] * 2
    assert links("data-owner-5") == home
    assert links("compute-node-0") == links("model-owner") == Link(Constant(MS))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_in_a_scenario_is_the_link_of_that_name(preset: str) -> None:
    assert parse(scenario("plain", network={"preset": preset})).network.build() == PRESETS[preset]


def test_measured_latencies_are_read_with_the_scenario_and_kept_in_it(tmp_path: Path) -> None:
    (tmp_path / "measured.txt").write_text("# round trips, halved\n1\n2.5\n\n40\n")
    (tmp_path / "a.toml").write_text(
        'name = "a"\n[network]\nlatency = { model = "empirical", file = "measured.txt", min = "2 ms" }\n'
    )
    loaded = load(tmp_path / "a.toml")
    assert loaded.network.build().latency == Empirical((MS, 2_500_000, 40 * MS), min_ns=2 * MS)
    assert loaded.normalised()["network"]["latency"]["quantiles"] == ["1 ms", "2500 us", "40 ms"]
    (tmp_path / "measured.txt").write_text("1\nsoon\n")
    with pytest.raises(ScenarioError, match=r"latency\.file: .*measured.txt:2: 'soon' is no number"):
        load(tmp_path / "a.toml")


def test_a_new_model_or_preset_replaces_the_former_one_with_its_keys(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        'name = "base"\n[network]\nloss = 0.5\nlatency = { model = "uniform", low = "1 ms", high = "9 ms" }\n'
    )
    (tmp_path / "a.toml").write_text(
        'extends = "base.toml"\n[network.latency]\nmodel = "lognormal"\nmedian = "3 ms"\nsigma = 1\n'
    )
    link = load(tmp_path / "a.toml").network.build()
    assert (link.latency, link.loss) == (Lognormal(3 * MS, 1), 0.5)
    assert load(tmp_path / "a.toml", ["network.preset=satellite"]).network.build() == PRESETS["satellite"]
    beside = load(tmp_path / "a.toml", ["network.preset=satellite", "network.loss=0.1"]).network.build()
    assert (beside.latency, beside.loss) == (PRESETS["satellite"].latency, 0.1)


@pytest.mark.parametrize(
    ("protocol", "one_ways"),
    [
        ("plain", 5),  # parameters; joined and slices; held; survivors; sums
        ("additive", 6),  # and the keys of the compute nodes
        ("pairwise", 7),  # and keys to the lead, the roster back
        ("secagg", 11),  # and shares to the lead, to the owners; the request to unmask, the answers
        ("secagg+", 11),
    ],
)
def test_with_constant_latency_a_round_takes_so_many_one_way_delays(protocol: str, one_ways: int) -> None:
    result = run(protocol, network={"latency": "40 ms"})
    assert round(result["rounds"][0]["seconds"]["total"] * 1e9) == one_ways * 40 * MS


def test_with_bandwidth_an_upload_takes_as_long_as_its_bytes_on_the_owners_line() -> None:
    network = {"latency": "30 ms", "bandwidth_up": "80 kbit"}  # 100 us a byte
    result = run("plain", owners=1, network=network, aggregation={"minimum_cohort": 1, "compute_nodes": 1})
    records = result.trace.records
    (joined,) = [record for record in records if record.kind == "joined"]
    (upload,) = [record for record in records if record.kind == "clear-slice"]
    (reveal,) = [record for record in records if (record.event, record.phase) == ("phase", "reveal")]
    assert joined.t == upload.t
    assert reveal.t - upload.t == (joined.bytes + upload.bytes) * 100_000 + 30 * MS


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_both_engines_come_to_the_same_survivors_and_means(protocol: str) -> None:
    tables = {
        "network": {"latency": "15 ms", "bandwidth_up": "20 Mbit"},
        "phases": {"upload": {"deadline": "400 ms"}},
        "faults": [] if protocol == "pairwise" else [{"kind": "drop", "players": {"count": 1}, "phase": "upload"}],
    }
    sim, tcp = (run(protocol, engine=engine, **tables) for engine in ("sim", "tcp"))
    assert [each["status"] for each in (sim, tcp)] == ["ok", "ok"]
    assert sim["rounds"][0]["survivors"] == tcp["rounds"][0]["survivors"]
    assert sim.means[0].tobytes() == tcp.means[0].tobytes()


def test_who_is_too_far_away_loses_the_round_and_not_the_run() -> None:
    result = run(
        "secagg",
        owners=6,
        owners_table={"groups": [{"count": 1, "link": "moon"}]},
        links={"moon": {"latency": "1.3 s"}},
        phases={"advertise": {"deadline": "2 s"}, "publish": {"deadline": "2 s"}},
        rounds=2,
    )
    assert result["status"] == "ok"
    assert [each["dropped"].keys() for each in result["rounds"]] == [{"data-owner-0"}] * 2
    assert all(each["exact"] for each in result["rounds"])


def test_enough_closes_a_phase_without_the_stragglers() -> None:
    result = run(
        "plain",
        owners=10,
        owners_table={"groups": [{"count": 2, "link": "slow"}]},
        links={"slow": {"latency": "5 s"}},
        phases={"publish": {"enough": 0.8}},
    )
    assert result["rounds"][0]["survivors"] == [f"data-owner-{index}" for index in range(2, 10)]
    assert result["rounds"][0]["seconds"]["total"] < 1


def test_losses_take_time_and_change_nothing_else() -> None:
    clean, lossy = (run("secagg", network={"latency": "5 ms", "loss": loss}) for loss in (0.0, 0.2))
    assert lossy["rounds"][0]["seconds"]["total"] > clean["rounds"][0]["seconds"]["total"]
    assert np.array_equal(clean.means[0], lossy.means[0])
    assert clean["rounds"][0]["bytes"] == lossy["rounds"][0]["bytes"]


def test_another_owner_shifts_nobodys_delays() -> None:
    """Streams are named after the pair: what data-owner-0 sends first arrives at the same time among more owners."""
    network = {"latency": {"model": "lognormal", "median": "40 ms", "sigma": 1.0}}
    publications = []
    for owners in (3, 5):
        result = run("plain", owners=owners, network=network)
        joined = [record for record in result.trace.records if record.kind == "joined"]
        publications.append({record.sender: record.t for record in joined if record.sender < "data-owner-3"})
    assert publications[0] == publications[1]
