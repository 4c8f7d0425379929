"""Keys and certificates from PEM: what is wrong with them is said in one line that shows nothing of a key."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from support.authority import Authority

from asyncagg.net.tls.context import Tls

OURS = Authority()
CERTIFICATE, KEY = OURS.issue("node-0")
_LOADED = serialization.load_pem_private_key(KEY, None)
ENCRYPTED = _LOADED.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)


def test_both_contexts_want_a_certificate_of_ours_over_tls_1_3() -> None:
    tls = Tls.from_pem(OURS.pem, CERTIFICATE, KEY)
    for context in (tls.server, tls.client):
        assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.cert_store_stats()["x509"] == 1


def test_repr_shows_nothing() -> None:
    assert repr(Tls.from_pem(OURS.pem, CERTIFICATE, KEY)) == "Tls()"


@pytest.mark.parametrize(
    ("authority", "certificate", "key", "message"),
    [
        (b"", CERTIFICATE, KEY, "the authority's certificate is not a certificate in PEM"),
        (KEY, CERTIFICATE, KEY, "the authority's certificate is not a certificate in PEM"),
        ("é".encode(), CERTIFICATE, KEY, "the authority's certificate is not a certificate in PEM"),
        (OURS.pem, b"", KEY, "the certificate is not a certificate in PEM that TLS can use"),
        (OURS.pem, KEY, KEY, "the certificate is not a certificate in PEM that TLS can use"),
        (OURS.pem, CERTIFICATE, b"", "the key is not a private key in PEM that TLS can use"),
        (OURS.pem, CERTIFICATE, CERTIFICATE, "the key is not a private key in PEM that TLS can use"),
        (OURS.pem, CERTIFICATE, OURS.issue("node-0")[1], "the key does not belong to the certificate"),
        (OURS.pem, CERTIFICATE, ENCRYPTED, "the key is encrypted: it must be without a password"),
    ],
)
def test_what_is_wrong_is_named(authority: bytes, certificate: bytes, key: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Tls.from_pem(authority, certificate, key)


def forget_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")


@pytest.mark.parametrize("prepare", [lambda monkeypatch: None, forget_memfd])
def test_no_file_is_left(
    prepare: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    prepare(monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = os.listdir("/proc/self/fd")
    Tls.from_pem(OURS.pem, CERTIFICATE, KEY)
    with pytest.raises(ValueError, match="not a private key"):
        Tls.from_pem(OURS.pem, CERTIFICATE, b"")
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == len(before)
