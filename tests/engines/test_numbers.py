"""Numbers keep their meaning in whole runs, at every door they come in by: zeros, counts, small values, kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import invoke
from support.runs import Arrays
from support.tensors import ByDlpack, Tensor

import asyncagg
from asyncagg.api import Result
from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.engines.experiment import prepare
from asyncagg.learning.errors import WorkloadError
from asyncagg.protocols.context import Context
from asyncagg.protocols.names import MODEL_OWNER, Label
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import parse

pytestmark = pytest.mark.filterwarnings("ignore::asyncagg.OwnerWarning")  # what it says is in the reason

COUNTS = np.random.default_rng(0).integers(0, 10**6, (50, 8))


class Mine(asyncagg.DataOwner):
    """Hands in what it was told to, by the parameters' names."""

    def __init__(self, gradient: Any, weight: Any = 1, max_weight: int = 9) -> None:
        self.gradient = gradient
        self.weight = weight
        self.max_weight = max_weight
        self.seen: list[Arrays] = []

    def compute_gradient(self, parameters: Arrays, round: int) -> Any:
        self.seen.append(parameters)
        return self.gradient, self.weight


class Model(asyncagg.ModelOwner):
    """Takes the steps that it was told to; by default the mean is the next model."""

    def __init__(self, initial: Any, step: Callable[[Arrays, Arrays], Any] = lambda parameters, mean: mean) -> None:
        self.initial = initial
        self.step = step
        self.means: list[Arrays] = []

    def initial_parameters(self) -> Any:
        return self.initial

    def apply(self, parameters: Arrays, mean: Arrays) -> Any:
        self.means.append(mean)
        return self.step(parameters, mean)


def keep(parameters: Arrays, mean: Arrays) -> Arrays:
    return parameters


def play(gradients: list[Any], model: Model, weights: list[Any] | None = None, **tables: Any) -> Result:
    owners = [Mine(each, weight) for each, weight in zip(gradients, weights or [1] * len(gradients), strict=True)]
    return run(owners, model, **tables)


def run(owners: list[Mine], model: Model, **tables: Any) -> Result:
    values = {"name": "numbers", "engine": "sim", **tables}
    values["aggregation"] = {"protocol": "plain", "compute_nodes": 1, **tables.get("aggregation", {})}
    return asyncagg.run(values, owners=owners, model_owner=model)


# -- zero ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("protocol", ["plain", "secagg+"])
def test_a_frozen_layer_does_not_drift_in_a_hundred_rounds(protocol: str, rounding: str, bits: int) -> None:
    gradients = [{"frozen": np.zeros(40, np.float32), "w": np.full(3, 0.3 * owner)} for owner in range(3)]
    model = Model({"frozen": np.zeros(40, np.float32), "w": np.zeros(3)}, lambda p, m: {k: p[k] - m[k] for k in p})
    result = play(
        gradients,
        model,
        [1, 5, 9],
        rounds=100,
        aggregation={"protocol": protocol},
        encoding={"bits": bits, "rounding": rounding},
    )
    assert [each["status"] for each in result["rounds"]] == ["ok"] * 100
    assert all(mean["frozen"].tobytes() == np.zeros(40).tobytes() for mean in model.means)
    assert result.model["frozen"].tolist() == [0] * 40
    assert np.abs(result.model["w"] + 100 * 0.46).max() <= 100 * result["rounds"][0]["error_bound"]
    assert np.abs(result.model["w"]).min() > 1


# -- whole numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg", "secagg+"])
def test_sums_of_counts_from_fifty_owners_are_exact(protocol: str) -> None:
    mean, report = asyncagg.secure_mean(COUNTS, protocol=protocol)
    assert mean.tolist() == [total / 50 for total in COUNTS.sum(axis=0).tolist()]
    assert np.rint(mean * 50).astype(int).tolist() == COUNTS.sum(axis=0).tolist()
    (each,) = report["rounds"]
    assert (each["exact"], each["error_max"], each["error_bound"]) == (True, 0, 0)
    assert (each["clipped"], each["below_quantum"], each["warnings"]) == (0, 0, [])
    assert report["parameters"]["bits"] == 21  # 2^20 - 1 = 1048575


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_sums_of_counts_from_own_owners_are_exact(engine: str) -> None:
    weights = [index % 9 + 1 for index in range(50)]
    model = Model({"n": np.zeros(8, int)}, keep)
    result = play([{"n": row} for row in COUNTS], model, weights, engine=engine, encoding={"bits": 21})
    assert result["status"] == "ok", result["reason"]
    sums = (np.array(weights)[:, None] * COUNTS).sum(axis=0)
    assert model.means[0]["n"].tolist() == [total / sum(weights) for total in sums.tolist()]
    assert model.means[0]["n"].dtype == np.float64
    assert (result["rounds"][0]["error_max"], result["rounds"][0]["error_bound"]) == (0, 0)


def test_sums_of_counts_from_a_file_are_exact(tmp_path: Path) -> None:
    np.savez(tmp_path / "counts.npz", vectors=COUNTS, weights=np.arange(1.0, 51))
    values = {"name": "counts", "engine": "sim", "owners": {"count": 50}, "encoding": {"bits": 21}}
    result = asyncagg.run({**values, "workload": {"kind": "vectors", "file": str(tmp_path / "counts.npz")}})
    sums = (np.arange(1, 51)[:, None] * COUNTS).sum(axis=0)
    assert result.means[0].tolist() == [total / 1275 for total in sums.tolist()]


def test_counts_that_a_files_scenario_has_no_bits_for_are_refused_beforehand(tmp_path: Path) -> None:
    np.savez(tmp_path / "counts.npz", vectors=COUNTS)
    values = {"name": "counts", "engine": "sim", "owners": {"count": 50}}
    largest = np.abs(COUNTS).max()
    with pytest.raises(ScenarioError) as caught:
        asyncagg.run({**values, "workload": {"kind": "vectors", "file": str(tmp_path / "counts.npz")}})
    assert str(caught.value) == (
        f"scenario: encoding.bits: is 16, which holds whole numbers up to 32767, and there are some of {largest}"
        " (21 or more)"
    )


def test_a_counter_beyond_the_bits_is_refused_by_name_and_value_unseen() -> None:
    model = Model({"w": np.zeros(2), "bn.num_batches_tracked": np.array(0)}, keep)
    result = play([{"w": np.ones(2), "bn.num_batches_tracked": np.array(71234)}] * 3, model)
    assert result["status"] == "failed"
    assert "returned whole numbers beyond 32767 in 'bn.num_batches_tracked'" in result["reason"]
    assert "71234" not in json.dumps(result)


def test_truth_values_are_counted() -> None:
    model = Model({"seen": np.zeros(3, bool)}, keep)
    play([{"seen": np.array(row)} for row in ([True, False, True], [True, False, False], [1, 0, 0])], model)
    assert model.means[0]["seen"].tolist() == [1, 0, 1 / 3]


def test_which_arrays_are_whole_numbers_is_the_models_to_say_not_an_owners() -> None:
    """An owner that sends integers where floats are, or whole floats where integers are, changes nothing."""
    model = Model({"w": np.zeros(2), "n": np.zeros(2, int)}, keep)
    floats = {"w": np.array([0.25, -3.0]), "n": np.array([5, 6])}
    swapped = {"w": np.array([1, 2]), "n": np.array([5.0, 7.0], np.float32)}
    result = play([floats, swapped, floats], model)
    assert len(result["rounds"][0]["survivors"]) == 3
    assert model.means[0]["n"].tolist() == [5.0, 19 / 3]
    assert np.abs(model.means[0]["w"] - [0.5, -4 / 3]).max() <= result["rounds"][0]["error_bound"]
    result = play([floats, {**floats, "n": np.array([5.5, 6])}, floats], Model(model.initial, keep))
    assert result["rounds"][0]["dropped"] == {"data-owner-1": "publish"}


def test_a_model_without_parameters_says_what_its_gradient_holds() -> None:
    class Counting(Model):
        def gradient_shapes(self) -> dict[str, tuple[int, ...]]:
            return {"n": (2,), "w": (1,)}

        def gradient_dtypes(self) -> dict[str, Any]:
            return {"n": int}

    model = Counting({}, keep)
    assert play([{"n": [1, 30_001], "w": [0.5]}] * 3, model)["rounds"][0]["exact"]
    assert model.means[0]["n"].tolist() == [1, 30_001]


@pytest.mark.parametrize("dtypes", [{"x": int}, {"n": complex}, {"n": "U3"}])
def test_a_dtype_of_no_array_or_of_no_numbers_is_refused(dtypes: dict[str, Any]) -> None:
    class Odd(Model):
        def gradient_dtypes(self) -> dict[str, Any]:
            return dtypes

    with pytest.raises(WorkloadError, match=r"gradient_dtypes: '[xn]' is .* \(a dtype of floats, integers or truth"):
        play([{"n": np.zeros(2)}] * 3, Odd({"n": np.zeros(2)}))


# -- small values ----------------------------------------------------------------------------------------------------


def lora(clip: dict[str, Any]) -> Result:
    update = {"lora": (1e-4 * np.random.default_rng(0).normal(size=4096)).astype(np.float16)}
    return play([update] * 4, Model({"lora": np.zeros(4096, np.float16)}), encoding=clip)


@pytest.mark.parametrize("encoding", [{}, {"rounding": "nearest"}, {"clip": 1e30}])
def test_values_that_drown_are_counted_and_warned_of_by_name(encoding: dict[str, Any]) -> None:
    result = lora(encoding)
    (each,) = result["rounds"]
    values = (1e-4 * np.random.default_rng(0).normal(size=4096)).astype(np.float16)
    quantum = 2 * encoding.get("clip", 8.0) / 65534
    below = 4 * np.count_nonzero((values != 0) & (np.abs(values.astype(float)) < quantum))
    assert each["below_quantum"] == below > 16_000
    of = 4 * np.count_nonzero(values)
    assert each["warnings"] == [
        f"{below} of {of} values are below one quantum ({quantum:.2g}): lower encoding.clip,"
        " or encoding.clip_by of 'lora'"
    ]


@pytest.mark.parametrize("encoding", [{"clip": 0.001}, {"clip_by": {"lora": 0.001}}, {"clip_by": {"l*": 0.001}}])
def test_with_the_right_clip_they_come_through(encoding: dict[str, Any]) -> None:
    result = lora(encoding)
    values = (1e-4 * np.random.default_rng(0).normal(size=4096)).astype(np.float16).astype(float)
    assert result["rounds"][0]["warnings"] == []
    assert np.std(result.model["lora"].astype(float) - values) < 1e-3 * np.std(values)
    assert result["rounds"][0]["clipped"] == 0


def test_arrays_of_different_size_want_a_clip_each() -> None:
    draw = np.random.default_rng(0)
    update = {"head": draw.normal(size=400), "lora_A": 1e-5 * draw.normal(size=400), "n": np.array(12)}
    model = Model({"head": np.zeros(400), "lora_A": np.zeros(400), "n": np.array(0)}, keep)
    coarse = play([update] * 3, model)
    assert coarse["rounds"][0]["warnings"] == [
        "1200 of 1200 values are below one quantum (0.00024): lower encoding.clip, or encoding.clip_by of 'lora_A'"
    ]
    fine = play([update] * 3, model, encoding={"clip_by": {"lora_*": 1e-4}})
    assert fine["rounds"][0]["warnings"] == []
    assert fine["parameters"]["clip_by"] == {"lora_*": 1e-4}
    for name, bound in (("head", 16 / 65534), ("lora_A", 2e-4 / 65534), ("n", 0)):
        assert np.abs(model.means[1][name] - update[name]).max() <= bound
    assert fine["rounds"][0]["error_bound"] == 16 / 65534  # of the coarsest


def test_clips_by_name_are_part_of_what_players_agree_on() -> None:
    def terms(clip_by: dict[str, float]) -> Any:
        values = {"name": "x", "encoding": {"clip_by": clip_by}}
        return prepare(parse(values)).terms(bytes(16))

    one, other = terms({"bias-0": 1.0}), terms({"bias-0": 2.0})
    assert one.encoding != other.encoding
    assert terms({}).encoding == terms({"bias-0": 8.0}).encoding
    ids = [
        Context(each, MODEL_OWNER, Label(0, 1), b"\x07", bytes(32), SystemRandomness()).round_id
        for each in (one, replace(one, encoding=other.encoding))
    ]
    assert ids[0] != ids[1]


def test_a_name_that_no_array_has_is_refused() -> None:
    with pytest.raises(ScenarioError) as caught:
        asyncagg.run({"name": "x", "engine": "sim", "encoding": {"clip_by": {"weigth-0": 1.0}}})
    assert str(caught.value) == "scenario: encoding.clip_by.weigth-0: is no array of floats (did you mean 'weight-0'?)"


def test_a_sparse_gradient_and_the_end_of_training_are_no_reason_to_warn() -> None:
    sparse = {"w": np.where(np.arange(1000) < 10, 1.0, 0.0)}
    assert play([sparse] * 3, Model({"w": np.zeros(1000)}))["rounds"][0]["warnings"] == []
    result = asyncagg.run({"name": "digits", "engine": "sim", "rounds": 40})
    assert [text for each in result["rounds"] for text in each["warnings"]] == []


def test_check_names_the_quantum_and_the_summary_what_exact_means(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('name = "s"\nengine = "sim"\n[encoding.clip_by]\n"weight-*" = 0.5\n', encoding="utf-8")
    shown = invoke("check", str(file)).stdout
    assert "# quantum: 0.00024 of 'bias-0', 'bias-1', one step of a value; smaller ones come out as 0 or" in shown
    assert "# quantum: 1.5e-05 of 'weight-0', 'weight-1', one step of a value" in shown
    parameters = json.loads(invoke("check", str(file), "--json").stdout)["parameters"]
    assert (parameters["quantum"], parameters["clip_by"]) == (16 / 65534, {"weight-*": 0.5})
    said = invoke("run", str(file), "--out", str(tmp_path / "run")).stdout
    assert "every mean exact as encoded, " in said
    assert " from the unencoded at most" in said


# -- one table of kinds at every door ---------------------------------------------------------------------------------

KINDS = ["f2", "f4", "f8", np.longdouble, ">f4", "i1", "i4", "i8", "u1", "u8", "?"]
NO_NUMBERS = [np.array(["1", "2"]), np.array([1 + 0j, 2]), np.array([None, 1]), [[1.0], [1.0, 2.0]]]


def by_secure_mean(values: Any, folder: Path) -> list[float]:
    mean: np.ndarray = asyncagg.secure_mean([values] * 3)[0]
    return mean.tolist()


def by_named_secure_mean(values: Any, folder: Path) -> list[float]:
    mean: dict[str, np.ndarray] = asyncagg.secure_mean([{"w": values}] * 3)[0]
    return mean["w"].tolist()


def by_file(values: Any, folder: Path) -> list[float]:
    np.savez(folder / "v.npz", vectors=[values] * 3)
    workload = {"kind": "vectors", "file": str(folder / "v.npz")}
    result = asyncagg.run({"name": "x", "engine": "sim", "aggregation": {"compute_nodes": 1}, "workload": workload})
    return list(result.means[0])


def by_owner(values: Any, folder: Path) -> list[float]:
    model = Model({"w": np.zeros(2)})
    result = play([{"w": values}] * 3, model)
    if result["status"] != "ok":
        raise ValueError(result["reason"])
    return model.means[0]["w"].tolist()


def by_model(values: Any, folder: Path) -> list[float]:
    owners = [Mine({"w": np.ones(2)}) for _ in range(3)]
    result = run(owners, Model({"w": values}, keep))
    assert result["status"] == "ok", result["reason"]
    return owners[0].seen[0]["w"].tolist()


def by_step(values: Any, folder: Path) -> list[float]:
    model = Model({"w": np.zeros(2)}, lambda parameters, mean: {"w": values})
    result = play([{"w": np.ones(2)}] * 3, model)
    if result["status"] != "ok":
        raise ValueError(result["reason"])
    return result.model["w"].tolist()


Door = Callable[[Any, Path], list[float]]
IN_MEMORY: list[Door] = [by_secure_mean, by_named_secure_mean, by_owner, by_model, by_step]
DOORS: list[Door] = [*IN_MEMORY, by_file]  # numpy writes the file: arrays alone can be in it
doors = pytest.mark.parametrize("door", DOORS)


@doors
@pytest.mark.parametrize("dtype", KINDS)
def test_the_same_numbers_are_right_wherever_they_enter(door: Door, dtype: Any, tmp_path: Path) -> None:
    assert door(np.array([1, 0], dtype), tmp_path) == pytest.approx([1, 0], abs=3e-4)


@pytest.mark.parametrize("door", IN_MEMORY)
@pytest.mark.parametrize("kind", [Tensor, ByDlpack, list])
def test_tensors_and_lists_are_arrays_wherever_they_enter(door: Door, kind: Any, tmp_path: Path) -> None:
    assert door(kind([0.5, -1.5]), tmp_path) == pytest.approx([0.5, -1.5], abs=3e-4)


@pytest.mark.parametrize(
    ("door", "values"),
    [
        (door, values)
        for door in DOORS
        for values in NO_NUMBERS
        if door is not by_file or isinstance(values, np.ndarray)
    ],
)
def test_what_is_no_number_is_refused_wherever_it_enters(door: Door, values: Any, tmp_path: Path) -> None:
    with pytest.raises((ValueError, WorkloadError, ScenarioError)) as caught:
        door(values, tmp_path)
    assert "\n" not in str(caught.value)
    assert "hold" in str(caught.value) or "is not a sound .npz of numbers" in str(caught.value)


@doors
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_wherever_they_enter(door: Door, wrong: float, tmp_path: Path) -> None:
    with pytest.raises((ValueError, WorkloadError, ScenarioError), match=r"NaN|finite"):
        door(np.array([1.0, wrong]), tmp_path)


@pytest.mark.parametrize("weight", [5, 5.0, np.float32(5), np.int8(5), np.uint64(5), np.array(5.0), Tensor(5)])
def test_whole_weights_of_any_type_count_wherever_they_enter(weight: Any, tmp_path: Path) -> None:
    rows = [[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]]
    wanted = np.average(rows, axis=0, weights=[1, 5, 1])
    assert asyncagg.secure_mean(rows, weights=[1, weight, 1])[0] == pytest.approx(wanted, abs=1e-5)
    model = Model({"w": np.zeros(2)})
    result = play([{"w": row} for row in rows], model, [1, weight, True])
    assert result["rounds"][0]["total_weight"] == 7
    assert model.means[0]["w"] == pytest.approx(wanted, abs=3e-4)


def test_one_cause_at_all_owners_is_one_sentence_with_the_remedy() -> None:
    gradient = {f"layer-{index}": np.array(["1"]) for index in range(122)}
    model = Model({name: np.zeros(1) for name in gradient})
    result = play([gradient] * 3, model, aggregation={"retries": 0})
    said = "'layer-0' holds text (real numbers: floats, integers or truth values), and so with 121 more of 122 arrays"
    assert result["reason"].count(said) == 1
    assert result["reason"].count("layer-") == 1


# -- models as people have them ---------------------------------------------------------------------------------------


def test_a_model_keeps_its_types() -> None:
    kinds = {"half": np.float16, "single": ">f4", "double": np.float64, "count": np.int32, "byte": np.uint8, "on": bool}
    initial = {name: np.ones(3, kind) for name, kind in kinds.items()}
    owners = [Mine({name: np.ones(3) for name in kinds}) for _ in range(3)]
    model = Model(initial, lambda parameters, mean: {name: mean[name] for name in reversed(kinds)})
    result = run(owners, model, engine="tcp", rounds=2)
    assert result["status"] == "ok", result["reason"]
    assert {name: array.dtype for name, array in result.model.items()} == {n: np.dtype(k) for n, k in kinds.items()}
    assert list(result.model) == list(kinds)
    for seen in owners[1].seen:
        assert {name: array.dtype.newbyteorder("=") for name, array in seen.items()} == {
            name: np.dtype(kind).newbyteorder("=") for name, kind in kinds.items()
        }


def test_a_counter_that_is_no_longer_whole_is_refused_by_name() -> None:
    model = Model({"n": np.array([3, 4])}, lambda parameters, mean: {"n": mean["n"] / 2})
    result = play([{"n": np.array([1, 2])}] * 3, model)
    assert (
        "'n' was int64, and holds numbers that are not whole, or beyond int64 (whole ones that fit)" in result["reason"]
    )


def resnet_18(width: int) -> dict[str, np.ndarray]:
    """A state dict with the names, order and kinds of ResNet-18's: 122 arrays, 20 of them counters; 64 wide there."""
    state: dict[str, np.ndarray] = {}

    def conv(name: str, inputs: int, outputs: int, size: int) -> None:
        state[f"{name}.weight"] = np.zeros((outputs, inputs, size, size), np.float32)

    def norm(name: str, channels: int) -> None:
        for each in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{each}"] = np.zeros(channels, np.float32)
        state[f"{name}.num_batches_tracked"] = np.array(0)

    conv("conv1", 3, width, 7)
    norm("bn1", width)
    inputs = width
    for layer in range(1, 5):
        outputs = width * 2 ** (layer - 1)
        for block in range(2):
            place = f"layer{layer}.{block}"
            conv(f"{place}.conv1", inputs, outputs, 3)
            norm(f"{place}.bn1", outputs)
            conv(f"{place}.conv2", outputs, outputs, 3)
            norm(f"{place}.bn2", outputs)
            if inputs != outputs:
                conv(f"{place}.downsample.0", inputs, outputs, 1)
                norm(f"{place}.downsample.1", outputs)
            inputs = outputs
    state["fc.weight"], state["fc.bias"] = np.zeros((1000, inputs), np.float32), np.zeros(1000, np.float32)
    return state


@pytest.mark.parametrize("protocol", ["plain", "secagg+"])
def test_the_state_of_a_resnet_trains_right(protocol: str) -> None:
    initial = resnet_18(4)
    assert len(initial) == 122
    assert sum(array.dtype.kind == "i" for array in initial.values()) == 20

    def local(owner: int) -> dict[str, np.ndarray]:
        draw = np.random.default_rng(owner)
        return {
            name: np.array(391 + owner) if array.dtype.kind == "i" else draw.normal(0, 0.02, array.shape).astype("f4")
            for name, array in initial.items()
        }

    def adopt(parameters: Arrays, mean: Arrays) -> Arrays:
        return {name: mean[name].astype(parameters[name].dtype) for name in parameters}

    model = Model(initial, adopt)
    result = play(
        [local(owner) for owner in range(3)], model, aggregation={"protocol": protocol}, encoding={"clip": 0.5}
    )
    (each,) = result["rounds"]
    assert (result["status"], each["attempts"], each["warnings"]) == ("ok", 1, [])
    for name, array in result.model.items():
        wanted = sum(local(owner)[name].astype(float) for owner in range(3)) / 3
        assert (array.dtype, array.shape) == (initial[name].dtype, initial[name].shape)
        assert np.abs(array - wanted).max() <= (0 if array.dtype.kind == "i" else each["error_bound"] + 1e-7)
