"""The folder of keys that `asyncagg keys` makes: who may read which file, and what each must hold.

    ca.pem  roster.json  config.json        for every host: nothing in them is secret
    ca.key                                  stays at home: whoever has it can make certificates for any player
    compute-node-0/                         for the host of that process: tls.pem, tls.key, identities.json

`identities.json` is an object from each player of the process to its Ed25519 secret, 64 hex digits.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from asyncagg.crypto.certificates import Authority, CertificateError, TlsCertificate
from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.crypto.signing import Identity
from asyncagg.runs import roster_file
from asyncagg.runs.roster_file import KEY, Cut, RosterError

AUTHORITY, AUTHORITY_KEY, ROSTER, CONFIG = "ca.pem", "ca.key", "roster.json", "config.json"
CERTIFICATE, KEY_FILE, IDENTITIES = "tls.pem", "tls.key", "identities.json"

SEED_BYTES = 32
_T = TypeVar("_T")
_EVERYONE, _OWNER_ONLY, _ANYONE_ELSE = 0o644, 0o600, 0o077
_MAKES = "`asyncagg keys` makes"
_TOGETHER = "files of one `asyncagg keys`"


class Site(Protocol):
    """A process, as far as its keys go: an entry of config.json."""

    @property
    def name(self) -> str:
        """Of its folder."""

    @property
    def players(self) -> tuple[str, ...]:
        """In it."""


class KeyFilesError(Exception):
    """Keys that cannot be used or made; `lines` holds a mistake each, `FILE: what is wrong (what would be right)`."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that one process knows. Its `repr` shows no secret."""

    authority_pem: bytes
    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    identities: Mapping[str, Identity]
    """Of the players of this process."""
    roster: Mapping[str, bytes]
    """Everybody's public key, 32 bytes."""
    cut: Cut | None = None
    """Into which batches the owners are cut, where they are."""


def write_keys(folder: Path, sites: Sequence[Site], config: str, now: datetime, days: int, batch: int = 1) -> None:
    """Makes the folder, with new keys for every site; `config` is the text of its config.json.

    With a `batch` above 1 the data owners are cut into batches of at least so many.

    All of it appears at once, under its name, when all of it is written. Raises KeyFilesError where the folder exists
    and is not empty, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise KeyFilesError([f"{folder}: exists and is not empty (a new folder, nothing is overwritten)"])
        with _appearing(folder) as unfinished:
            _fill(unfinished, sites, config, now, days, batch)
    except CertificateError as error:
        raise KeyFilesError([f"{folder}: cannot be made: {error}"]) from None
    except OSError as error:
        raise KeyFilesError([f"{folder}: cannot be written: {error.strerror} (a folder that can)"]) from None


def load_keys(folder: Path, site: Site, now: datetime) -> Keys:
    """The keys of one process, checked against each other and the moment.

    Raises KeyFilesError with a line for each file that is missing, not what it should be, or open to others.
    """
    return _Loading(folder, site).keys(now)


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill that takes its name, over an empty one, when that went well; else it is removed."""
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-unfinished-", dir=folder.absolute().parent))
    try:
        yield unfinished
        os.rename(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _fill(folder: Path, sites: Sequence[Site], config: str, now: datetime, days: int, batch: int) -> None:
    authority = Authority.create("asyncagg players", now, days)
    public: dict[str, bytes] = {}
    for site in sites:
        home = folder / site.name
        home.mkdir(mode=0o700)
        issued = authority.issue(site.players, now, days)
        identities = {player: Identity.generate(SystemRandomness()) for player in site.players}
        secrets = {player: identity.secret().hex() for player, identity in identities.items()}
        _write(home / CERTIFICATE, issued.certificate_pem, _EVERYONE)
        _write(home / KEY_FILE, issued.key_pem, _OWNER_ONLY)
        _write(home / IDENTITIES, (json.dumps(secrets, indent=1) + "\n").encode(), _OWNER_ONLY)
        public |= {player: identity.public for player, identity in identities.items()}
    _write(folder / AUTHORITY, authority.certificate_pem, _EVERYONE)
    _write(folder / AUTHORITY_KEY, authority.key_pem(), _OWNER_ONLY)
    seed = SystemRandomness().bytes(SEED_BYTES)  # only now: a key chosen after the seed would choose its batch
    roster_file.write(folder / ROSTER, public, Cut(batch, seed) if batch > 1 else None)
    _write(folder / CONFIG, config.encode(), _EVERYONE)


def _write(path: Path, content: bytes, mode: int) -> None:
    """A new file that nobody else can read at any moment, if it is secret."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


class _Loading:
    """Reads the files of one process and gathers what is wrong with them."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._players = site.players
        self._folder, self._home = folder, folder / site.name
        self._authority, self._roster = folder / AUTHORITY, folder / ROSTER
        self._certificate, self._key = self._home / CERTIFICATE, self._home / KEY_FILE
        self._identities = self._home / IDENTITIES
        self._wrong: list[str] = []

    def keys(self, now: datetime) -> Keys:
        """All of them, or the refusal."""
        _check_folder(self._folder, f"{_MAKES} it")
        _check_folder(self._home, f"{_MAKES} one for each entry of config.json")
        authority = self._attempt(lambda: _certificate(self._authority))
        certificate = self._attempt(lambda: _certificate(self._certificate))
        key_pem = self._attempt(lambda: _secret(self._key))
        identities = self._attempt(lambda: _identities(self._identities, self._players))
        roster = self._attempt(lambda: _roster(self._roster))
        if authority is None or certificate is None or key_pem is None or identities is None or roster is None:
            raise KeyFilesError(self._wrong)
        self._wrong += self._certificate_mistakes(authority, certificate, key_pem, now)
        self._wrong += self._identity_mistakes(identities, roster)
        if self._wrong:
            raise KeyFilesError(self._wrong)
        return Keys(authority.pem, certificate.pem, key_pem, identities, roster, roster_file.read_cut(self._roster))

    def _attempt(self, step: Callable[[], _T]) -> _T | None:
        try:
            return step()
        except KeyFilesError as error:
            self._wrong += error.lines
            return None

    def _certificate_mistakes(
        self, authority: TlsCertificate, certificate: TlsCertificate, key_pem: bytes, now: datetime
    ) -> Iterator[str]:
        yield from _date_mistakes(self._authority, authority, now)
        yield from _date_mistakes(self._certificate, certificate, now)
        if not certificate.is_issued_by(authority):
            yield f"{self._certificate}: is not from the authority of {self._authority} ({_TOGETHER})"
        known = frozenset(certificate.names)
        if absent := [player for player in self._players if player not in known]:
            yield f"{self._certificate}: is for {_few(certificate.names)}, not for {_few(absent)} ({_TOGETHER})"
        try:
            if not certificate.has_key(key_pem):
                yield f"{self._key}: is not the key of {self._certificate} ({_TOGETHER})"
        except CertificateError as error:
            yield f"{self._key}: {error}"

    def _identity_mistakes(self, identities: Mapping[str, Identity], roster: Mapping[str, bytes]) -> Iterator[str]:
        for player, identity in identities.items():
            if player not in roster:
                yield f"{self._roster}: has no {player} ({_TOGETHER})"
            elif roster[player] != identity.public:
                yield f"{self._identities}: {player}: is not the identity in {self._roster} ({_TOGETHER})"


def _check_folder(path: Path, right: str) -> None:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise KeyFilesError([f"{path}: there is no such folder ({right})"]) from None
    except OSError as error:
        raise KeyFilesError([f"{path}: cannot be read: {error.strerror} ({right})"]) from None
    if not is_folder:
        raise KeyFilesError([f"{path}: is not a folder ({right})"])


def _content(path: Path, secret: bool) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if secret and os.name == "posix" and mode & _ANYONE_ELSE:
                right = f"chmod 600 {shlex.quote(str(path))}"
                raise KeyFilesError([f"{path}: is open to other users of this host, mode {mode:o} ({right})"])
            return file.read()
    except FileNotFoundError:
        raise KeyFilesError([f"{path}: there is no such file ({_MAKES} it)"]) from None
    except OSError as error:
        raise KeyFilesError([f"{path}: cannot be read: {error.strerror} (a file of this user's)"]) from None


def _secret(path: Path) -> bytes:
    return _content(path, secret=True)


def _certificate(path: Path) -> TlsCertificate:
    pem = _content(path, secret=False)
    try:
        return TlsCertificate.from_pem(pem)
    except CertificateError as error:
        raise KeyFilesError([f"{path}: {error} ({_MAKES} it)"]) from None


def _roster(path: Path) -> dict[str, bytes]:
    """The keys of the roster, which has to have a cut that can be read, or none."""
    try:
        roster_file.read_cut(path)
        return roster_file.read(path)
    except RosterError as error:
        raise KeyFilesError([str(error)]) from None


def _identities(path: Path, players: Sequence[str]) -> dict[str, Identity]:
    try:
        content = json.loads(_content(path, secret=True))
    except (ValueError, RecursionError):
        raise KeyFilesError([f"{path}: is not JSON (an object from player to secret)"]) from None
    if not isinstance(content, dict):
        raise KeyFilesError([f"{path}: is not an object (from player to secret)"])
    lines = [
        f"{path}: {player}: is not a secret (64 hex digits)" if player in content else f"{path}: has no {player}"
        for player in players
        if not isinstance(secret := content.get(player), str) or not KEY.fullmatch(secret)
    ]
    known = frozenset(players)
    lines += [f"{path}: has {player!r}, which this process does not play" for player in content if player not in known]
    if lines:
        raise KeyFilesError(lines)
    return {player: Identity(bytes.fromhex(content[player])) for player in players}


def _date_mistakes(path: Path, certificate: TlsCertificate, now: datetime) -> Iterator[str]:
    clock = f"this host's clock says {_moment(now)}"
    if now < certificate.not_before:
        yield f"{path}: is not valid before {_moment(certificate.not_before)} ({clock}: check it)"
    if now > certificate.not_after:
        yield f"{path}: expired at {_moment(certificate.not_after)} ({clock}; {_MAKES} new ones)"


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _few(names: Sequence[str]) -> str:
    return f"{names[0]} to {names[-1]}" if len(names) > 2 else " and ".join(names) or "nobody"
