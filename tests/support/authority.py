"""A private certificate authority for tests: certificates for any players, good ones and bad ones."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from asyncagg.net.tls.context import Tls

DAY = datetime.timedelta(days=1)


@dataclass
class Authority:
    """Issues certificates for a day from now, or for another day."""

    name: str = "tests"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def __post_init__(self) -> None:
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self.pem = pem(self._sign(self.key, self.name, datetime.timedelta(), constraints))

    def issue(self, *players: str, later: datetime.timedelta = datetime.timedelta()) -> tuple[bytes, bytes]:
        """A certificate for these players and its key, in PEM."""
        key = Ed25519PrivateKey.generate()
        names = x509.SubjectAlternativeName([x509.DNSName(player) for player in players])
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem(self._sign(key, "a player", later, names)), secret

    def tls(self, *players: str, later: datetime.timedelta = datetime.timedelta()) -> Tls:
        """What a process of these players shows and believes."""
        return Tls.from_pem(self.pem, *self.issue(*players, later=later))

    def _sign(
        self, key: Ed25519PrivateKey, name: str, later: datetime.timedelta, extension: x509.ExtensionType
    ) -> x509.Certificate:
        begin = datetime.datetime.now(datetime.UTC) - DAY / 24 + later
        subject, issuer = ([x509.NameAttribute(NameOID.COMMON_NAME, each)] for each in (name, self.name))
        return (
            x509.CertificateBuilder(x509.Name(issuer), x509.Name(subject), key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + DAY)
            .add_extension(extension, critical=False)
            .sign(self.key, None)
        )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
