"""Ed25519 against RFC 8032, with changed and malformed signatures."""

import pytest
from support.known_answers import vectors

from asyncagg.crypto.randomness import InsecureSeededRandomness, SystemRandomness
from asyncagg.crypto.signing import Identity, IdentityError, verify


@pytest.mark.parametrize("vector", vectors("ed25519"))
def test_published_vectors(vector):
    public, message, signature = (bytes.fromhex(vector[name]) for name in ("public", "message", "signature"))
    assert verify(public, message, signature) is vector["success"]
    if vector["success"]:
        identity = Identity(bytes.fromhex(vector["secret"]))
        assert identity.public == public
        assert identity.sign(message) == signature


def test_an_identity_survives_its_key_file():
    identity = Identity.generate(SystemRandomness())
    again = Identity(identity.secret())
    assert verify(identity.public, b"certify", again.sign(b"certify"))


def test_identities_differ_and_do_not_sign_for_each_other():
    one, other = (Identity.generate(InsecureSeededRandomness(seed)) for seed in (1, 2))
    assert not verify(other.public, b"certify", one.sign(b"certify"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_secrets_have_32_bytes(size):
    with pytest.raises(IdentityError, match=f"32 bytes, not {size}"):
        Identity(bytes(size))


def test_the_representation_shows_the_public_half_only():
    identity = Identity.generate(InsecureSeededRandomness(3))
    assert identity.public.hex() in repr(identity)
    assert identity.secret().hex() not in repr(identity)
