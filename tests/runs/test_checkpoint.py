"""The checkpoint and what stands beside it: read as written, always whole, and nothing believed that bytes claim."""

import errno
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.runs import atomic, npz
from asyncagg.runs.checkpoint import ACCOUNT, FILE, ROUNDS, Checkpoint, CheckpointError, round_line
from asyncagg.runs.result import RoundResult, Traffic
from asyncagg.version import FORMAT

DIGEST = bytes(range(32))
ARRAYS = {
    "weights": np.arange(6, dtype="<f4").reshape(2, 3) / 7,
    "file": np.array(0.1),
    "../bias \0 é": np.array([np.nan, -0.0, np.inf, 5e-324]),
    "empty": np.zeros((0, 4), "<f2"),
    "column-wise": np.asfortranarray(np.arange(6, dtype="<i8").reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">f8"),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j]),
}
FULL = RoundResult(
    0,
    "ok",
    reason="no sum; then none",
    attempts=3,
    survivors=["data-owner-0", "data-owner-2"],
    dropped={"data-owner-1": "upload"},
    silent_after={"data-owner-2": "unmask"},
    total_weight=2**63 + 1,
    clipped=4,
    below_quantum=9,
    error_max=1e-7,
    error_bound=0.1 + 0.2,
    exact=True,
    seconds={"total": 1.25, "upload": 1 / 3},
    traffic={"model-owner": Traffic(10, 20)},
    key_agreements=7,
    mask_expansions={"data-owner": 3, "compute-node": 0.5},
    metrics={"loss": 0.1, "accuracy": 1.0},
    warnings=["attempt 1 had opened uploads"],
)


def checkpoint(**changes: Any) -> Checkpoint:
    values: dict[str, Any] = {
        "scenario": DIGEST,
        "round": 2,
        "attempt": 1,
        "parameters": ARRAYS,
        "state": {"weights": np.ones(3, np.float32)},
        "culprits": {"data-owner-1": "wrong-shares"},
        "rounds_bytes": 1234,
        "account_bytes": 567,
        "t": 12345678901,
    }
    return Checkpoint(**{**values, **changes})


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- what is written is what is read ---------------------------------------------------------------------------------


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = checkpoint()
    written.write(tmp_path)
    read = Checkpoint.read(tmp_path)
    for name in ("scenario", "round", "attempt", "rounds_bytes", "account_bytes", "culprits", "t"):
        assert getattr(read, name) == getattr(written, name), name
    assert list(read.parameters) == list(ARRAYS)
    for name, array in ARRAYS.items():
        again = read.parameters[name]
        assert (again.dtype, again.shape) == (array.dtype.newbyteorder("<"), array.shape), name
        np.testing.assert_array_equal(again, array)
        assert again.flags.writeable
    assert np.signbit(read.parameters["../bias \0 é"][1])
    np.testing.assert_array_equal(read.state["weights"], np.ones(3, np.float32))
    assert files(tmp_path) == [FILE]


def test_numpy_reads_it_too(tmp_path: Path) -> None:
    checkpoint().write(tmp_path)
    with np.load(tmp_path / FILE, allow_pickle=False) as stored:
        assert json.loads(stored["about"].tobytes())["parameters"] == list(ARRAYS)
        np.testing.assert_array_equal(stored["parameters-0"], ARRAYS["weights"])


def test_a_model_without_parameters_before_its_first_round(tmp_path: Path) -> None:
    checkpoint(round=0, attempt=0, parameters={}, state={}, culprits={}, rounds_bytes=0, account_bytes=0, t=0).write(
        tmp_path
    )
    read = Checkpoint.read(tmp_path)
    assert (read.round, read.parameters, read.state, read.finished_rounds(tmp_path)) == (0, {}, {}, [])
    assert list(read.account(tmp_path)) == []


def test_another_scenarios_checkpoint_is_told(tmp_path: Path) -> None:
    checkpoint().check_scenario(DIGEST)
    with pytest.raises(CheckpointError, match=r"belongs to scenario 000102.* the run was started with"):
        checkpoint().check_scenario(bytes(32))


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([object()]), np.zeros(1, "M8[s]"), np.zeros(1, "i4,f4")])
def test_only_plain_values_are_kept(array: np.ndarray, tmp_path: Path) -> None:
    checkpoint().write(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(CheckpointError, match="state 'x' is of type"):
        checkpoint(state={"x": array}).write(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


# -- rounds as JSON --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [FULL, RoundResult(4, "failed", reason="x"), RoundResult(0, "ok", exact=False)])
def test_a_round_goes_through_json_and_back(each: RoundResult) -> None:
    text = json.dumps(each.to_json(), allow_nan=False)
    again = RoundResult.from_json(json.loads(text))
    assert again == each
    assert json.dumps(again.to_json()) == text


def test_what_json_cannot_hold_stays_null() -> None:
    wild = RoundResult(0, "ok", error_max=float("inf"), metrics={"loss": float("nan")})
    told = wild.to_json()
    assert RoundResult.from_json(told).to_json() == told
    assert told["metrics"] == {"loss": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("round", -1),
        ("round", True),
        ("round", 2**64),
        ("status", "fine"),
        ("status", []),
        ("reason", 3),
        ("attempts", 1.0),
        ("survivors", "data-owner-0"),
        ("survivors", [1]),
        ("dropped", {"data-owner-0": None}),
        ("exact", 1),
        ("error_max", "0"),
        ("error_bound", float("nan")),
        ("seconds", {"total": True}),
        ("bytes", {"data-owner": {"sent": 1}}),
        ("bytes", {"data-owner": {"sent": 1, "received": 2, "lost": 3}}),
        ("work", {"key_agreements": 0, "mask_expansions": {"data-owner": None}}),
        ("work", {"key_agreements": 0}),
        ("metrics", {"loss": "low"}),
        ("warnings", None),
    ],
)
def test_a_round_of_other_values_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is not what"):
        RoundResult.from_json(FULL.to_json() | {name: value})


@pytest.mark.parametrize("data", [None, [], "x", {}, FULL.to_json() | {"more": 1}])
def test_what_is_no_round_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not a round's result"):
        RoundResult.from_json(data)


# -- hostile and damaged files ---------------------------------------------------------------------------------------


def refused(folder: Path, content: bytes) -> str:
    (folder / FILE).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.read(folder)
    text = str(caught.value)
    assert text.startswith(str(folder / FILE))
    assert "\n" not in text
    return text


def rewritten(folder: Path, **changes: Any) -> bytes:
    """A checkpoint whose JSON says something else; None takes a key away."""
    checkpoint().write(folder)
    arrays = npz.read(folder / FILE)
    about = json.loads(arrays["about"].tobytes()) | changes
    text = json.dumps({key: value for key, value in about.items() if value is not None})
    return archived(arrays | {"about": np.frombuffer(text.encode(), np.uint8)})


def archived(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    npz.write(buffer, arrays)
    return buffer.getvalue()


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npy(header: str, values: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header.encode() + b"\n" + values


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"format": FORMAT + 1, "version": "9.1"}, f"was made by asyncagg 9.1 and has format {FORMAT + 1}; this is"),
        ({"format": True}, "and has no format that it says; this is asyncagg"),
        ({"account": None}, "says attempt"),
        ({"more": 1}, "says account, attempt, culprits, format, more"),
        ({"scenario": "00"}, "scenario is not a digest"),
        ({"scenario": 5}, "scenario is not a digest"),
        ({"round": -1}, "round is not a number"),
        ({"round": 2.0}, "round is not a number"),
        ({"attempt": True}, "attempt is not a number"),
        ({"t": 2**63}, "t is not a number"),
        ({"parameters": "weights"}, "parameters is not a list of names"),
        ({"state": [1]}, "state is not a list of names"),
        ({"state": ["x", "x"]}, "state is not a list of names"),
        ({"state": ["x", "y"]}, "has no entry 'state-1'"),
        ({"state": []}, "has an entry too many, 'state-0'"),
        ({"rounds": {}}, "rounds is not a number"),
        ({"account": -1}, "account is not a number"),
        ({"culprits": ["data-owner-1"]}, "culprits is not an object of texts by name"),
        ({"culprits": {"data-owner-1": 1}}, "culprits is not an object of texts by name"),
    ],
)
def test_what_it_says_is_checked(changes: dict[str, Any], what: str, tmp_path: Path) -> None:
    assert what in refused(tmp_path, rewritten(tmp_path, **changes))


def test_a_checkpoint_from_before_there_was_a_format_says_so(tmp_path: Path) -> None:
    text = refused(tmp_path, rewritten(tmp_path, format=None, version=None, schema=1, ledger={}))
    assert "made by an asyncagg that does not say which and has no format that it says" in text
    assert text.endswith("(use the one that made it)")


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000), }"
PICKLED = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
NESTED = "(" * 60000


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no .npz file"),
        (b"\x93NUMPY", "no .npz file"),
        (zipped({}), "no entry `about`"),
        (archived({"about": np.zeros(3)}), "no entry `about`"),
        (archived({"about": np.frombuffer(b"[]", np.uint8)}), "what it says about itself is no object"),
        (archived({"about": np.frombuffer(b"\xff{", np.uint8)}), "checkpoint that asyncagg wrote"),
        (archived({"about": np.frombuffer(b'{"t": NaN}', np.uint8)}), "NaN is no number"),
        (archived({"about": np.frombuffer(b"[" * 100_000, np.uint8)}), "checkpoint that asyncagg wrote"),
        (zipped({"about.npy": bytes(1_000_000)}, zipfile.ZIP_DEFLATED), "compressed"),
        (zipped({"about": b"x"}), "entry 'about'"),
        (zipped({"about.npy": npy(HUGE)}), "0 bytes of values for shape"),
        (zipped({"about.npy": npy(PICKLED, b"cos\nsystem\n(S'true'\ntR.")}), "not an array of plain values"),
        (zipped({"about.npy": npy(NESTED)}), "not an array of plain values"),
        (zipped({"about.npy": npy(HUGE.replace("<f8", "<f9"))}), "damaged"),
        (zipped({"about.npy": npy(HUGE.replace("(1000000000, 1000000000)", "(" + "0, " * 99 + "0)"))}), "damaged"),
        (zipped({"about.npy": b""}), "not an array of plain values"),
    ],
)
def test_bytes_that_are_no_checkpoint_are_refused(content: bytes, what: str, tmp_path: Path) -> None:
    assert what in refused(tmp_path, content)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """A directory of many entries over the same bytes would let a small file fill the memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", bytes(10_000))
        for number in range(50):
            archive.filelist.append(archive.filelist[0])
            archive.NameToInfo[f"{number}.npy"] = archive.filelist[0]
    assert "longer than the file" in refused(tmp_path, buffer.getvalue())


def test_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is none: the run has ended, or never began"):
        Checkpoint.read(tmp_path)
    (tmp_path / FILE).mkdir()
    with pytest.raises(CheckpointError, match="Is a directory"):
        Checkpoint.read(tmp_path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("damaged")
    checkpoint().write(folder)
    return folder, (folder / FILE).read_bytes()


@given(data=st.data())
@settings(max_examples=300)
def test_damage_is_found_or_harmless(sound: tuple[Path, bytes], data: st.DataObject) -> None:
    """Never another exception, and never other values: what is read is what was written, or nothing is."""
    folder, content = sound
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(damaged)))
    (folder / FILE).write_bytes(bytes(damaged[:cut]))
    try:
        read = Checkpoint.read(folder)
    except CheckpointError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert (read.round, read.attempt, read.rounds_bytes, read.account_bytes) == (2, 1, 1234, 567)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read.parameters[name], array)


# -- what stands beside it ---------------------------------------------------------------------------------------------

SKIPPED = RoundResult(1, "skipped", reason="too few")


def beside(folder: Path, *rounds: RoundResult, more: str = "", account: str = "head\nentry\n") -> Checkpoint:
    """A checkpoint after these rounds, and what a crash left behind them."""
    texts = "".join(map(round_line, rounds))
    (folder / ROUNDS).write_text(texts + more)
    (folder / ACCOUNT).write_text(account + more)
    return checkpoint(round=len(rounds), rounds_bytes=len(texts.encode()), account_bytes=len(account))


@pytest.mark.parametrize("more", ["", "torn", round_line(RoundResult(2, "ok")), "{}\n{}\n"])
def test_what_a_crash_left_beyond_a_checkpoint_does_not_count_and_is_cut(more: str, tmp_path: Path) -> None:
    stored = beside(tmp_path, FULL, SKIPPED, more=more)
    for _ in range(2):
        assert stored.finished_rounds(tmp_path) == [FULL, SKIPPED]
        assert list(stored.account(tmp_path)) == ["head", "entry"]
        stored.cut(tmp_path)
        assert (tmp_path / ROUNDS).stat().st_size == stored.rounds_bytes
        assert (tmp_path / ACCOUNT).stat().st_size == stored.account_bytes


def rounds_refused(folder: Path, stored: Checkpoint) -> str:
    with pytest.raises(CheckpointError) as caught:
        stored.finished_rounds(folder)
    text = str(caught.value)
    assert text.endswith(" (the file that asyncagg wrote beside this checkpoint)")
    return text.removeprefix(str(folder / ROUNDS)).partition(" (the")[0]


def test_fewer_rounds_than_the_checkpoint_counts(tmp_path: Path) -> None:
    stored = beside(tmp_path, FULL, SKIPPED)
    whole = (tmp_path / ROUNDS).read_bytes()
    (tmp_path / ROUNDS).write_bytes(whole[:-1])
    assert rounds_refused(tmp_path, stored) == f": has no whole lines in its first {len(whole)} bytes"
    (tmp_path / ROUNDS).unlink()
    assert rounds_refused(tmp_path, stored) == ": No such file or directory"
    (tmp_path / ACCOUNT).write_text("head\n")
    with pytest.raises(CheckpointError, match=r"account.jsonl: has no whole lines in its first 11 bytes"):
        list(stored.account(tmp_path))


@pytest.mark.parametrize("rounds", [[FULL], [SKIPPED, FULL], [FULL, FULL], [FULL, SKIPPED, RoundResult(2, "ok")]])
def test_other_rounds_than_those_before(rounds: list[RoundResult], tmp_path: Path) -> None:
    beside(tmp_path, *rounds)
    stored = checkpoint(round=2, rounds_bytes=(tmp_path / ROUNDS).stat().st_size)
    assert rounds_refused(tmp_path, stored) == ": its rounds are not those before round 2"


@pytest.mark.parametrize("text", ["3", "[", "{}", '{"round": NaN}', "[" * 100_000, "\xff"])
def test_a_line_that_is_no_round(text: str, tmp_path: Path) -> None:
    (tmp_path / ROUNDS).write_text(round_line(FULL) + text + "\n")
    stored = checkpoint(round=2, rounds_bytes=(tmp_path / ROUNDS).stat().st_size)
    assert rounds_refused(tmp_path, stored).startswith(":2: ")


# -- whole or not at all ---------------------------------------------------------------------------------------------


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_room_to_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "fsync", full)


def no_room_to_replace(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "replace", full)


def no_room_to_write(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(npz, "write", full)


@pytest.mark.parametrize("fail", [no_room_to_sync, no_room_to_replace, no_room_to_write])
def test_a_full_disk_leaves_the_former_checkpoint(
    fail: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint().write(tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with monkeypatch.context() as patch:
        fail(patch)
        with pytest.raises(CheckpointError) as caught:
            checkpoint(attempt=2).write(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / FILE}: No space left on device (room to write; the former checkpoint is kept)"
    )
    assert (tmp_path / FILE).read_bytes() == before
    assert files(tmp_path) == [FILE]
    checkpoint(attempt=2).write(tmp_path)
    assert Checkpoint.read(tmp_path).attempt == 2


def test_a_device_without_room_says_so_itself(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.tmp").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoint().write(tmp_path)
    assert files(tmp_path) == []


def test_ctrl_c_leaves_no_temporary_file(tmp_path: Path) -> None:
    def interrupted(file: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic.replace(tmp_path / "x", interrupted)
    assert files(tmp_path) == []


def test_file_and_folder_are_brought_to_the_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content before its new name, the name before anyone relies on it."""
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def noted(descriptor: int) -> None:
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        done.append("replace")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", renamed)
    checkpoint().write(tmp_path)
    assert done == [f"{FILE}.tmp", "replace", tmp_path.name]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No such file or directory \(room to write"):
        checkpoint().write(tmp_path / "nowhere")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


if os.geteuid() == 0:

    @pytest.mark.long
    def test_a_disk_that_is_really_full(tiny: Path) -> None:
        checkpoint().write(tiny)
        before = (tiny / FILE).read_bytes()
        with pytest.raises(CheckpointError, match="No space left on device"):
            checkpoint(state={"x": np.zeros(100_000)}).write(tiny)
        assert (tiny / FILE).read_bytes() == before
        assert files(tiny) == [FILE]
        checkpoint(attempt=2).write(tiny)
        assert Checkpoint.read(tiny).attempt == 2
