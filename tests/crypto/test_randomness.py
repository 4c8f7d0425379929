"""System and seeded randomness, apart by construction."""

import pytest

from asyncagg.crypto.randomness import (
    InsecureRandomnessError,
    InsecureSeededRandomness,
    Randomness,
    SystemRandomness,
    require_secure,
)


def test_system_randomness_is_secure_and_fresh():
    randomness = SystemRandomness()
    require_secure(randomness)
    assert randomness.bytes(32) != randomness.bytes(32)
    assert [len(randomness.bytes(count)) for count in (0, 1, 33)] == [0, 1, 33]


def test_seeded_randomness_repeats_by_seed_and_label():
    def stream(*arguments):
        return InsecureSeededRandomness(*arguments).bytes(40)

    assert stream(7, "data-owner-1", 2) == stream(7, "data-owner-1", 2)
    streams = [stream(7), stream(8), stream(7, ""), stream(7, "1"), stream(7, 1), stream(7, "a", "b")]
    streams += [stream(7, "ab"), stream(-7), stream(2**70)]
    assert len(set(streams)) == len(streams)


def test_seeded_randomness_does_not_depend_on_how_it_is_cut():
    whole, parts = InsecureSeededRandomness(1, "x"), InsecureSeededRandomness(1, "x")
    assert whole.bytes(100) == b"".join(parts.bytes(count) for count in (0, 1, 15, 17, 67))


def test_the_stream_stays_what_it_is():
    wanted = "217595ee9c44ca49849634734dc31cb9"
    assert InsecureSeededRandomness(0, "data-owner-0", "share").bytes(16).hex() == wanted


def test_seeded_randomness_is_refused_where_secrets_matter():
    with pytest.raises(InsecureRandomnessError, match="only the engine sim accepts it"):
        require_secure(InsecureSeededRandomness(1))


def test_a_flag_alone_makes_no_source_secure():
    class Pretender(InsecureSeededRandomness):
        secure = True

    with pytest.raises(InsecureRandomnessError):
        require_secure(Pretender(1))


def test_representations_show_no_seed():
    assert "424242" not in repr(InsecureSeededRandomness(424242, "label"))


def test_there_is_no_default_source():
    with pytest.raises(TypeError):
        Randomness()
