"""X.509 for TLS between players: a private authority, and certificates that name the players of one process.

Keys are Ed25519 (RFC 8410). A certificate names its players as DNS names of the subject alternative name and serves
both ends of a connection. The moment is handed in: nothing here knows a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from asyncagg.crypto.errors import CryptoError

MOST_NAMES = 3_000
"""Players of one certificate: 57 kB with the longest names, where OpenSSL sends a client's only up to 64 KiB."""
MOST_DAYS = 36_500

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_EARLIER = timedelta(hours=1)
"""A certificate is good from a little before it was made: hosts' clocks differ."""
_LONGEST_NAME = 64


class CertificateError(CryptoError):
    """A text that is no certificate or no key, or a certificate that cannot be issued."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, both PEM. The `repr` shows the certificate only."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


class Authority:
    """A private certificate authority: whoever holds its key can make certificates for any player."""

    __slots__ = ("_certificate", "_key", "certificate_pem")

    def __init__(self, certificate: x509.Certificate, key: Ed25519PrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self.certificate_pem = certificate.public_bytes(Encoding.PEM)

    @classmethod
    def create(cls, name: str, now: datetime, days: int) -> Authority:
        """A new authority, good for so many days from `now`, which says its time zone. Raises CertificateError."""
        key = Ed25519PrivateKey.generate()
        subject = _named(name)
        builder = _dated(x509.CertificateBuilder(), now, _end(now, days))
        builder = builder.subject_name(subject).issuer_name(subject).public_key(key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        return cls(builder.sign(key, algorithm=None), key)

    def issue(self, players: Sequence[str], now: datetime, days: int) -> Issued:
        """A certificate for one process, no longer good than the authority's own. Raises CertificateError."""
        if not 1 <= len(players) <= MOST_NAMES:
            raise CertificateError(f"a certificate for {len(players)} players (1 to {MOST_NAMES})")
        key = Ed25519PrivateKey.generate()
        end = min(_end(now, days), self._certificate.not_valid_after_utc)
        builder = _dated(x509.CertificateBuilder(), now, end).public_key(key.public_key())
        builder = builder.subject_name(_named(players[0])).issuer_name(self._certificate.subject)
        for extension, critical in self._extensions(key, players):
            builder = builder.add_extension(extension, critical)
        return Issued(builder.sign(self._key, algorithm=None).public_bytes(Encoding.PEM), _pem(key))

    def key_pem(self) -> bytes:
        """The private key, for the file that stays at home."""
        return _pem(self._key)

    def __repr__(self) -> str:
        return f"Authority({self._certificate.subject.rfc4514_string()})"

    def _extensions(self, key: Ed25519PrivateKey, players: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
        above = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
            (x509.SubjectAlternativeName([x509.DNSName(player) for player in players]), False),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), False),
        ]


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """A certificate as it was read."""

    pem: bytes = field(repr=False)
    names: tuple[str, ...]
    """Its DNS names."""
    not_before: datetime
    not_after: datetime
    _read: x509.Certificate = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> TlsCertificate:
        """The first certificate of a PEM text. Raises CertificateError."""
        try:
            read = x509.load_pem_x509_certificate(pem)
            extensions = read.extensions
        except (ValueError, x509.UnsupportedGeneralNameType, x509.DuplicateExtension) as error:
            raise CertificateError("is not a PEM certificate") from error
        alternatives = (each.value for each in extensions if isinstance(each.value, x509.SubjectAlternativeName))
        names = [name for alternative in alternatives for name in alternative.get_values_for_type(x509.DNSName)]
        return cls(pem, tuple(names), read.not_valid_before_utc, read.not_valid_after_utc, read)

    def has_key(self, key_pem: bytes) -> bool:
        """True if this private key is the certificate's. Raises CertificateError where it is no private key."""
        return _public(_private(key_pem)) == self._read.public_key().public_bytes(*_PUBLIC)

    def is_issued_by(self, authority: TlsCertificate) -> bool:
        """True if the authority's key signed it."""
        try:
            self._read.verify_directly_issued_by(authority._read)
        except (ValueError, TypeError, InvalidSignature):  # another name, another kind of key, another key
            return False
        return True


def _private(pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a password; the text stays unsaid
        raise CertificateError("is not a PEM private key without a password") from None


def _public(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(*_PUBLIC)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])


def _end(now: datetime, days: int) -> datetime:
    if now.tzinfo is None:
        raise CertificateError("a moment without a time zone (an aware datetime)")
    if not 1 <= days <= MOST_DAYS:
        raise CertificateError(f"a certificate for {days} days (1 to {MOST_DAYS})")
    return now + timedelta(days=days)


def _dated(builder: x509.CertificateBuilder, now: datetime, end: datetime) -> x509.CertificateBuilder:
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _EARLIER).not_valid_after(end)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    """Of RFC 5280, 4.2.1.3: an authority signs certificates, a player its handshakes."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
