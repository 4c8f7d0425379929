"""Certificates at work: handshakes in memory between TLS 1.3 ends that ask each other for one."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from asyncagg.crypto.certificates import MOST_NAMES, Authority, CertificateError, Issued, TlsCertificate

NOW = datetime.now(UTC)
OWNERS = tuple(f"data-owner-{index}" for index in range(50))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("players", NOW, 30)


@pytest.fixture(scope="module")
def node(authority: Authority) -> Issued:
    return authority.issue(["compute-node-0"], NOW, 30)


@pytest.fixture(scope="module")
def fleet(authority: Authority) -> Issued:
    return authority.issue(OWNERS, NOW, 30)


@dataclass
class Ends:
    """Makes TLS ends out of PEM texts; `ssl` wants certificates in files."""

    folder: Path
    authority: bytes

    def shake(self, server: Issued, client: Issued | None) -> tuple[ssl.SSLObject, ssl.SSLObject]:
        """Both ends after a handshake and a byte each way; raises what either end raises."""
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        listening = self._context(ssl.PROTOCOL_TLS_SERVER, server).wrap_bio(up, down, server_side=True)
        dialling = self._context(ssl.PROTOCOL_TLS_CLIENT, client).wrap_bio(down, up)
        done = set[ssl.SSLObject]()
        for _ in range(4):
            for end in (dialling, listening):
                try:
                    end.do_handshake()
                    done.add(end)
                except ssl.SSLWantReadError:
                    continue
        assert done == {dialling, listening}
        for sender, receiver in ((dialling, listening), (listening, dialling)):
            sender.write(b"x")
            assert receiver.read(1) == b"x"
        return listening, dialling

    def _context(self, protocol: int, own: Issued | None) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=self.authority.decode())
        if own is not None:
            path = self.folder / "chain.pem"
            path.write_bytes(own.certificate_pem + own.key_pem)
            context.load_cert_chain(path)
        return context


@pytest.fixture
def ends(tmp_path: Path, authority: Authority) -> Ends:
    return Ends(tmp_path, authority.certificate_pem)


def names(end: ssl.SSLObject) -> list[str]:
    """What the peer's certificate says, as `ssl` reads it."""
    certificate = end.getpeercert()
    assert certificate is not None
    return [str(name) for kind, name in certificate["subjectAltName"] if kind == "DNS"]


def test_two_processes_know_each_other(ends: Ends, node: Issued, fleet: Issued):
    listening, dialling = ends.shake(node, fleet)
    assert listening.version() == dialling.version() == "TLSv1.3"
    assert names(dialling) == ["compute-node-0"]
    assert names(listening) == list(OWNERS)


def test_a_certificate_serves_either_end(ends: Ends, node: Issued, fleet: Issued):
    listening, dialling = ends.shake(fleet, node)
    assert names(listening) == ["compute-node-0"]
    assert names(dialling) == list(OWNERS)


def test_the_largest_fleet_has_a_certificate_that_peers_read(ends: Ends, authority: Authority, node: Issued):
    players = [f"data-owner-{999_999 - index}" for index in range(MOST_NAMES)]
    largest = authority.issue(players, NOW, 30)
    assert names(ends.shake(node, largest)[0]) == players
    assert names(ends.shake(largest, node)[1]) == players


def test_without_a_certificate_nobody_comes_in(ends: Ends, node: Issued):
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        ends.shake(node, None)


def test_another_authority_of_the_same_name_is_another(ends: Ends, node: Issued):
    stranger = Authority.create("players", NOW, 30).issue(["data-owner-0"], NOW, 30)
    for server, client in ((node, stranger), (stranger, node)):
        with pytest.raises(ssl.SSLCertVerificationError):
            ends.shake(server, client)


@pytest.mark.parametrize(
    ("start", "said"),
    [(NOW - timedelta(days=3), "certificate has expired"), (NOW + timedelta(days=1), "not yet valid")],
)
def test_outside_its_days_a_certificate_is_refused(ends: Ends, authority: Authority, node: Issued, start, said):
    other = authority.issue(["data-owner-0"], start, 2)
    for server, client in ((node, other), (other, node)):
        with pytest.raises(ssl.SSLCertVerificationError, match=said):
            ends.shake(server, client)


def test_a_player_cannot_make_certificates(ends: Ends, node: Issued, fleet: Issued):
    """A certificate signed with a player's key leads to the authority, and is refused all the same."""
    player = x509.load_pem_x509_certificate(fleet.certificate_pem)
    forger = Authority(player, _key(fleet))
    forged = forger.issue(["model-owner"], NOW, 30)
    chain = Issued(forged.certificate_pem + fleet.certificate_pem, forged.key_pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        ends.shake(node, chain)


def _key(issued: Issued):
    return load_pem_private_key(issued.key_pem, None)


def test_what_a_certificate_allows(authority: Authority, fleet: Issued):
    above, own = (x509.load_pem_x509_certificate(each.certificate_pem) for each in (authority, fleet))
    assert above.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert own.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(False, None)
    usage = own.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    extended = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert above.serial_number != own.serial_number


def test_it_is_good_a_little_before_it_was_made_and_no_longer_than_its_authority(authority: Authority):
    read = TlsCertificate.from_pem(authority.issue(["model-owner"], NOW, 3000).certificate_pem)
    assert NOW - timedelta(days=1) < read.not_before < NOW - timedelta(minutes=10)
    assert read.not_after == TlsCertificate.from_pem(authority.certificate_pem).not_after


def test_what_was_issued_is_read(authority: Authority, node: Issued, fleet: Issued):
    read, above = TlsCertificate.from_pem(fleet.certificate_pem), TlsCertificate.from_pem(authority.certificate_pem)
    assert (read.names, above.names) == (OWNERS, ())
    assert read.has_key(fleet.key_pem)
    assert not read.has_key(node.key_pem)
    assert above.has_key(authority.key_pem())
    assert read.is_issued_by(above)
    assert not read.is_issued_by(TlsCertificate.from_pem(node.certificate_pem))
    stranger = Authority.create("players", NOW, 30)
    assert not read.is_issued_by(TlsCertificate.from_pem(stranger.certificate_pem))


@pytest.mark.parametrize("pem", [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(pem):
    with pytest.raises(CertificateError, match="is not a PEM certificate"):
        TlsCertificate.from_pem(pem)


def test_what_is_no_key_is_refused(node: Issued):
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"sesame")
    )
    read = TlsCertificate.from_pem(node.certificate_pem)
    for pem in (b"", b"key", node.certificate_pem, locked):
        with pytest.raises(CertificateError, match="is not a PEM private key without a password"):
            read.has_key(pem)


def test_a_key_of_another_kind_is_another_key(node: Issued):
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert not TlsCertificate.from_pem(node.certificate_pem).has_key(other)


@pytest.mark.parametrize(
    ("players", "now", "days", "said"),
    [
        ([], NOW, 1, "0 players"),
        (["data-owner-0"] * (MOST_NAMES + 1), NOW, 1, "3001 players"),
        (["data-owner-0"], NOW.replace(tzinfo=None), 1, "without a time zone"),
        (["data-owner-0"], NOW, 0, "for 0 days"),
        (["data-owner-0"], NOW, 36_501, "for 36501 days"),
    ],
)
def test_what_cannot_be_issued_is_refused(authority: Authority, players, now, days, said):
    with pytest.raises(CertificateError, match=said):
        authority.issue(players, now, days)


def test_no_representation_shows_a_key(authority: Authority, node: Issued):
    assert "PRIVATE" not in f"{authority!r}{node!r}{TlsCertificate.from_pem(node.certificate_pem)!r}"
    assert repr(authority) == "Authority(CN=players)"
