"""X25519 against RFC 7748; keys that no agreement is made with; wiping."""

import pytest
from support.known_answers import vectors

from asyncagg.crypto.agreement import AgreementError, KeyPair, canonical
from asyncagg.crypto.randomness import InsecureSeededRandomness, SystemRandomness

PRIME = 2**255 - 19


@pytest.mark.parametrize("vector", vectors("x25519"))
def test_published_vectors(vector):
    pair, peer = KeyPair(bytes.fromhex(vector["secret"])), bytes.fromhex(vector["public"])
    if vector["success"]:
        assert pair.shared(peer).hex() == vector["shared"]
        assert pair.public.hex() == vector.get("own_public", pair.public.hex())
    else:
        with pytest.raises(AgreementError):
            pair.shared(peer)


def test_a_thousand_iterations_agree_with_the_definition():
    """RFC 7748, section 5.2: each result is the next secret, each secret the next coordinate."""
    secret = point = (9).to_bytes(32, "little")
    for _ in range(1000):
        secret, point = KeyPair(secret).shared(point), secret
    assert secret.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_two_pairs_share_a_secret():
    one, other = KeyPair.generate(SystemRandomness()), KeyPair.generate(SystemRandomness())
    assert one.shared(other.public) == other.shared(one.public)
    assert one.public != other.public


def test_a_pair_comes_back_from_its_secret():
    pair = KeyPair.generate(InsecureSeededRandomness(1))
    assert KeyPair(pair.secret()).public == pair.public
    assert pair.public == canonical(pair.public)


def test_all_encodings_of_a_key_have_one_canonical_form():
    pair = KeyPair.generate(InsecureSeededRandomness(2))
    twin = pair.public[:31] + bytes([pair.public[31] | 0x80])
    assert twin != pair.public
    assert canonical(twin) == pair.public
    for small in range(19):
        plain, shifted = (number.to_bytes(32, "little") for number in (small, small + PRIME))
        assert canonical(shifted) == canonical(plain) == plain


def test_twin_keys_agree_on_the_same_secret_and_so_must_not_pass_for_two():
    one, other = (KeyPair.generate(InsecureSeededRandomness(seed)) for seed in (3, 4))
    twin = other.public[:31] + bytes([other.public[31] | 0x80])
    assert one.shared(twin) == one.shared(other.public)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_keys_have_32_bytes(size):
    pair = KeyPair.generate(InsecureSeededRandomness(5))
    for refuse in (canonical, pair.shared, KeyPair):
        with pytest.raises(AgreementError, match=f"32 bytes, not {size}"):
            refuse(bytes(size))


def test_a_wiped_pair_is_useless():
    pair, peer = (KeyPair.generate(InsecureSeededRandomness(seed)) for seed in (6, 7))
    pair.wipe()
    pair.wipe()
    for use in (pair.secret, lambda: pair.shared(peer.public)):
        with pytest.raises(AgreementError, match="wiped"):
            use()


def test_representations_and_errors_show_no_key():
    pair = KeyPair.generate(InsecureSeededRandomness(8))
    assert repr(pair) == "KeyPair(redacted)"
    with pytest.raises(AgreementError) as caught:
        pair.shared(pair.public)
    assert pair.secret().hex() not in str(caught.value)
    assert pair.public.hex() not in str(caught.value)
