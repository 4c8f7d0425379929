"""The folder of keys: who can read what, what fits together, and one line for each thing that is wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asyncagg.crypto.signing import verify
from asyncagg.runs import key_files, roster_file
from asyncagg.runs.key_files import KeyFilesError, Keys, load_keys, write_keys
from asyncagg.scenario.hosts_config import HostEntry

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
NODE = HostEntry("compute-node-0", ("compute-node-0",), "10.0.0.1", 4440)
FLEET = HostEntry("data-owner-0..2", ("data-owner-0", "data-owner-1", "data-owner-2"), "10.0.0.2", 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "keys"
    write_keys(folder, [NODE, FLEET], '{"keys": "."}\n', NOW, 30)
    return folder


@pytest.fixture
def keys(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to break, by a relative name."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, "keys"))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def refused(folder: Path, site: HostEntry = FLEET, now: datetime = NOW) -> list[str]:
    with pytest.raises(KeyFilesError) as caught:
        load_keys(folder, site, now)
    assert all("\n" not in line for line in caught.value.lines)
    return list(caught.value.lines)


def test_each_process_has_a_folder_and_secrets_are_its_users_alone(made: Path):
    files = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    private = ["tls.key", "identities.json"]
    assert files == sorted(
        ["ca.pem", "ca.key", "roster.json", "config.json"]
        + [f"{site.name}/{name}" for site in (NODE, FLEET) for name in ("tls.pem", *private)]
    )
    secret = [made / "ca.key", *(made / site.name / name for site in (NODE, FLEET) for name in private)]
    assert [mode(path) for path in secret] == [0o600] * 5
    assert [mode(path) for path in (made, made / NODE.name, made / FLEET.name)] == [0o700] * 3
    assert (made / "config.json").read_text() == '{"keys": "."}\n'


def test_secrets_are_their_users_alone_whatever_the_umask(tmp_path: Path):
    before = os.umask(0)
    try:
        write_keys(tmp_path / "keys", [NODE], "{}", NOW, 30)
    finally:
        os.umask(before)
    assert mode(tmp_path / "keys" / NODE.name / "tls.key") == 0o600
    assert mode(tmp_path / "keys" / NODE.name) == 0o700


def test_what_is_made_is_loaded(made: Path):
    fleet, node = load_keys(made, FLEET, NOW), load_keys(made, NODE, NOW)
    assert tuple(fleet.identities) == FLEET.players
    assert fleet.roster == node.roster
    assert set(fleet.roster) == {*FLEET.players, "compute-node-0"}
    assert verify(fleet.roster["data-owner-1"], b"m", fleet.identities["data-owner-1"].sign(b"m"))
    assert fleet.authority_pem == (made / "ca.pem").read_bytes()
    assert fleet.certificate_pem != node.certificate_pem


def test_no_secret_is_in_the_representation(made: Path):
    said = repr(load_keys(made, FLEET, NOW))
    secrets = json.loads((made / FLEET.name / "identities.json").read_text()).values()
    assert "PRIVATE" not in said
    assert not any(secret in said for secret in secrets)
    assert isinstance(load_keys(made, FLEET, NOW), Keys)


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "mine").write_text("x")
    with pytest.raises(KeyFilesError, match=r"exists and is not empty \(a new folder, nothing is overwritten\)"):
        write_keys(tmp_path / "keys", [NODE], "{}", NOW, 30)
    with pytest.raises(KeyFilesError, match="exists and is not empty"):
        write_keys(tmp_path / "keys" / "mine", [NODE], "{}", NOW, 30)
    assert [path.name for path in tmp_path.rglob("*")] == ["keys", "mine"]


def test_an_empty_folder_is_filled(tmp_path: Path):
    (tmp_path / "keys").mkdir()
    write_keys(tmp_path / "keys", [NODE], "{}", NOW, 30)
    assert load_keys(tmp_path / "keys", NODE, NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, identities: object, cut: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(roster_file, "write", full)
    with pytest.raises(KeyFilesError, match=r"keys: cannot be written: No space left on device \(a folder that can\)"):
        write_keys(tmp_path / "keys", [NODE], "{}", NOW, 30)
    assert not list(tmp_path.iterdir())


def test_an_interruption_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(roster_file, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_keys(tmp_path / "keys", [NODE], "{}", NOW, 30)
    assert not list(tmp_path.iterdir())


def test_more_players_than_a_certificate_names_are_refused(tmp_path: Path):
    crowd = replace(FLEET, players=tuple(f"data-owner-{index}" for index in range(3001)))
    with pytest.raises(KeyFilesError, match="cannot be made: a certificate for 3001 players"):
        write_keys(tmp_path / "keys", [crowd], "{}", NOW, 30)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(keys: Path):
    assert refused(Path("none")) == ["none: there is no such folder (`asyncagg keys` makes it)"]
    other = replace(FLEET, name="data-owner-0..1", players=FLEET.players[:2])
    right = "`asyncagg keys` makes one for each entry of config.json"
    assert refused(keys, other) == [f"keys/data-owner-0..1: there is no such folder ({right})"]
    assert refused(keys / "ca.pem") == ["keys/ca.pem: is not a folder (`asyncagg keys` makes it)"]


MISSING = {
    "ca.pem": "keys/ca.pem: there is no such file (`asyncagg keys` makes it)",
    "roster.json": "keys/roster.json: No such file or directory (a roster file)",
    "data-owner-0..2/tls.pem": "keys/data-owner-0..2/tls.pem: there is no such file (`asyncagg keys` makes it)",
    "data-owner-0..2/tls.key": "keys/data-owner-0..2/tls.key: there is no such file (`asyncagg keys` makes it)",
    "data-owner-0..2/identities.json": "keys/data-owner-0..2/identities.json: there is no such file "
    "(`asyncagg keys` makes it)",
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_a_file_that_is_not_there(keys: Path, name):
    (keys / name).unlink()
    assert refused(keys) == [MISSING[name]]


def test_everything_that_is_missing_is_said_at_once(keys: Path):
    for name in MISSING:
        (keys / name).unlink()
    assert len(refused(keys)) == len(MISSING)


def test_a_file_that_cannot_be_read(keys: Path):
    path = keys / NODE.name / "tls.key"
    path.unlink()
    path.mkdir()
    line = "keys/compute-node-0/tls.key: cannot be read: Is a directory (a file of this user's)"
    assert refused(keys, NODE) == [line]


@pytest.mark.parametrize("name", ["tls.key", "identities.json"])
@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o601])
def test_a_secret_that_others_can_read_is_refused_with_the_remedy(keys: Path, name, open_to):
    path = keys / NODE.name / name
    path.chmod(open_to)
    assert refused(keys, NODE) == [
        f"keys/compute-node-0/{name}: is open to other users of this host, mode {open_to:o} "
        f"(chmod 600 keys/compute-node-0/{name})"
    ]
    path.chmod(0o400)
    load_keys(keys, NODE, NOW)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ca.pem", "x", "keys/ca.pem: is not a PEM certificate (`asyncagg keys` makes it)"),
        ("data-owner-0..2/tls.pem", "",
         "keys/data-owner-0..2/tls.pem: is not a PEM certificate (`asyncagg keys` makes it)"),
        ("data-owner-0..2/tls.key", "PEM",
         "keys/data-owner-0..2/tls.key: is not a PEM private key without a password"),
        ("roster.json", "[]", "keys/roster.json: is not an object (from player to public key)"),
        ("data-owner-0..2/identities.json", "{",
         "keys/data-owner-0..2/identities.json: is not JSON (an object from player to secret)"),
        ("data-owner-0..2/identities.json", "[]",
         "keys/data-owner-0..2/identities.json: is not an object (from player to secret)"),
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else(keys: Path, name, content, said):
    (keys / name).write_text(content)
    assert refused(keys) == [said]


def test_identities_are_those_of_the_process(keys: Path):
    path = keys / FLEET.name / "identities.json"
    secrets = json.loads(path.read_text())
    del secrets["data-owner-0"]
    path.write_text(json.dumps(secrets | {"data-owner-1": secrets["data-owner-1"][:-1], "cook\n": "00" * 32}))
    lines = refused(keys)
    assert lines == [
        "keys/data-owner-0..2/identities.json: has no data-owner-0",
        "keys/data-owner-0..2/identities.json: data-owner-1: is not a secret (64 hex digits)",
        "keys/data-owner-0..2/identities.json: has 'cook\\n', which this process does not play",
    ]
    assert not any(secret[:-1] in line for secret in secrets.values() for line in lines)


def test_an_identity_that_is_not_the_one_in_the_roster(keys: Path):
    roster = roster_file.read(keys / "roster.json")
    swapped = {player: key for player, key in roster.items() if player != "data-owner-2"}
    swapped["data-owner-0"] = bytes(32)
    roster_file.write(keys / "roster.json", swapped)
    assert refused(keys) == [
        "keys/data-owner-0..2/identities.json: data-owner-0: is not the identity in keys/roster.json "
        "(files of one `asyncagg keys`)",
        "keys/roster.json: has no data-owner-2 (files of one `asyncagg keys`)",
    ]


def test_files_of_two_makings_do_not_fit(keys: Path):
    write_keys(Path("other"), [NODE, FLEET], "{}", NOW, 30)
    shutil.copy("other/data-owner-0..2/tls.key", keys / FLEET.name)
    together = "(files of one `asyncagg keys`)"
    pem, key = "keys/data-owner-0..2/tls.pem", "keys/data-owner-0..2/tls.key"
    assert refused(keys) == [f"{key}: is not the key of {pem} {together}"]
    shutil.copy("other/data-owner-0..2/tls.pem", keys / FLEET.name)
    assert refused(keys) == [f"{pem}: is not from the authority of keys/ca.pem {together}"]


def test_a_certificate_for_other_players(keys: Path):
    for name in ("tls.pem", "tls.key"):
        shutil.copy(keys / NODE.name / name, keys / FLEET.name)
    assert refused(keys) == [
        "keys/data-owner-0..2/tls.pem: is for compute-node-0, not for data-owner-0 to data-owner-2 "
        "(files of one `asyncagg keys`)"
    ]


def test_a_clock_that_is_wrong_or_keys_that_are_old(keys: Path):
    assert refused(keys, NODE, NOW - timedelta(days=2)) == [
        f"{path}: is not valid before 2030-01-02 02:04:05 UTC "
        "(this host's clock says 2029-12-31 03:04:05 UTC: check it)"
        for path in ("keys/ca.pem", "keys/compute-node-0/tls.pem")
    ]
    assert refused(keys, NODE, NOW + timedelta(days=31)) == [
        f"{path}: expired at 2030-02-01 03:04:05 UTC "
        "(this host's clock says 2030-02-02 03:04:05 UTC; `asyncagg keys` makes new ones)"
        for path in ("keys/ca.pem", "keys/compute-node-0/tls.pem")
    ]


def test_the_layout_is_what_is_documented():
    assert key_files.__doc__ is not None
    for name in ("ca.pem", "ca.key", "roster.json", "config.json", "tls.pem", "tls.key", "identities.json"):
        assert name in key_files.__doc__
