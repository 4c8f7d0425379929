"""Attack 18: a model owner publishes parameters that overflow for one owner's data, and looks who leaves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from support.tap import Tap

import asyncagg
from asyncagg.api import Result
from asyncagg.protocols.names import LEAD

LARGE = "data-owner-4"
COUNT = 9


class Squaring(asyncagg.DataOwner):
    """A gradient that grows with the parameters and the data, in float32 as models are; counts are whole numbers."""

    def __init__(self, data: float) -> None:
        self.data = np.float32(data)

    def compute_gradient(self, parameters: dict[str, Any], round: int) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):
            large = parameters["w"] * self.data
            counted = np.rint(large[0].astype(np.float64) * 1e-36)
            return {"w": np.array([large[0], -large[1], large[2] - large[2]]), "n": counted}, 1


class Probing(asyncagg.ModelOwner):
    """Publishes what overflows for data of 1000 and not for those of 1."""

    def __init__(self, value: float) -> None:
        self.value = value

    def initial_parameters(self) -> dict[str, Any]:
        return {"w": np.full(3, self.value, np.float32), "n": np.array(0)}

    def apply(self, parameters: dict[str, Any], mean: dict[str, Any]) -> dict[str, Any]:
        return parameters


def probed(threat: str, value: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Result, Tap]:
    with monkeypatch.context() as patched:
        tap = Tap().install(patched)
        owners = [Squaring(1000 if index == 4 else 1) for index in range(COUNT)]
        scenario = {
            "name": "overflow",
            "engine": "sim",
            "owners": {"count": COUNT},
            "aggregation": {"protocol": "secagg", "threat": threat, "batch": 3 if threat == "lying" else 1},
            "encoding": {"rounding": "nearest", "rounding_draws": "system"},
        }
        return asyncagg.run(scenario, owners=owners, model_owner=Probing(value)), tap


def test_without_the_defence_the_one_with_large_data_is_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    result, tap = probed("curious", 1e36, monkeypatch)
    assert result["rounds"][0]["dropped"] == {LARGE: "publish"}
    assert any(frame.sender == LARGE and b"NaN or infinity in 'w'" in frame.body for frame in tap.of("failed"))


def test_under_lying_nobody_leaves_and_no_name_and_no_text_reaches_the_lead(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tame, silent = probed("lying", 1.0, monkeypatch)
    capfd.readouterr()
    result, tap = probed("lying", 1e36, monkeypatch)
    (each,) = result["rounds"]
    assert (each["status"], each["dropped"], each["reasons"], each["exact"]) == ("ok", {}, {}, True)
    assert (each["attempts"], each["warnings"]) == (1, tame["rounds"][0]["warnings"])

    def shape(tap: Tap) -> Counter[tuple[str, str, str, int, int]]:
        """Who said what to whom, of which size: all that the lead sees of a masked run."""
        return Counter((f.sender, f.receiver, f.kind, len(f.body), len(f.payload)) for f in tap.frames)

    assert shape(tap) == shape(silent)
    for frame in tap.frames:
        assert b"NaN" not in frame.body
        assert b"infinity" not in frame.body
    assert not [record for record in result.trace.records if record.event in ("drop", "fault", "refuse", "abort")]
    assert not [record for record in result.trace.records if record.sender == LEAD and LARGE in record.detail]
    noted = [line for line in capfd.readouterr().err.splitlines() if line.startswith(LARGE)]
    assert noted == [
        f"{LARGE} in round 0: 'w' holds NaN or infinity, first at index 0 (finite numbers): NaN became 0,"
        " infinity ±clip, and whole numbers were rounded and clipped; nobody else is told"
    ]


def test_what_overflows_counts_as_clip_and_what_is_no_number_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = probed("lying", 1e36, monkeypatch)
    np.testing.assert_allclose(result.means[0], [8.0, -8.0, 0.0, (2**15 - 1 + COUNT - 1) / COUNT], atol=1e-9)
