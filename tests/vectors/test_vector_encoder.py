"""A gradient of many arrays: each with its own clip, whole numbers exact, the same words as array by array."""

from dataclasses import replace

import numpy as np
import pytest

from asyncagg.vectors.clips import ClipError, clips_of
from asyncagg.vectors.encoder import Encoder, EncodingError
from asyncagg.vectors.flatten import Layout
from asyncagg.vectors.ring import add_into
from asyncagg.vectors.vector_encoder import VectorEncoder

LAYOUT = Layout(
    ("w", "b", "steps", "none", "lora", "seen"),
    ((3, 4), (4,), (), (0,), (5,), (2,)),
    ("<f4", "<f4", "<i8", "<f4", "<f8", "|b1"),
)
CLIPS = (8.0, 8.0, 8.0, 8.0, 1e-3, 8.0)


def draws_of(seed):
    generator = np.random.default_rng(seed)
    return lambda count: generator.integers(0, 1 << 16, count, dtype=np.uint16)


def encoder_of(layout=LAYOUT, clips=CLIPS, bits=16, max_weight=9, rounding="stochastic"):
    return VectorEncoder.for_population(layout, 50, clips, bits, max_weight, rounding)


def arrays_of(generator, scale=1.0):
    return {
        "w": generator.normal(0, scale, (3, 4)).astype(np.float32),
        "b": generator.normal(0, scale, 4).astype(np.float16),
        "steps": np.array(generator.integers(0, 30_000)),
        "none": np.zeros(0),
        "lora": generator.normal(0, 1e-4 * scale, 5),
        "seen": generator.integers(0, 2, 2).astype(bool),
    }


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_each_array_is_encoded_as_if_it_were_alone(rounding):
    encoder = encoder_of(rounding=rounding)
    values = LAYOUT.flatten(arrays_of(np.random.default_rng(1), scale=5.0))
    words, clipped = encoder.encode(values, 3, draws_of(2))
    draws, wanted, beyond = draws_of(2), [], 0
    for (start, stop), each in zip(LAYOUT.bounds, encoder.encoders, strict=True):
        part = each.encode(values[start:stop], 3, draws)
        wanted += part.words.tolist()
        beyond += part.clipped
    assert (words.tolist(), clipped) == (wanted, beyond)


def test_arrays_that_are_encoded_alike_are_one_run():
    assert [(run.start, run.stop) for run in encoder_of().runs] == [(0, 16), (16, 17), (17, 22), (22, 24)]
    one = Layout(("a", "b", "c"), ((3,), (4,), (5,)), ("<f4", "<f8", "<f2"))
    assert [(run.start, run.stop) for run in encoder_of(one, (8.0,) * 3).runs] == [(0, 12)]


def test_fifty_owners_stay_within_each_arrays_own_bound_and_counts_are_exact():
    generator, encoder, weights = np.random.default_rng(3), encoder_of(), [index % 9 + 1 for index in range(50)]
    total, plain = encoder.ring.zeros(LAYOUT.dimension), np.zeros(LAYOUT.dimension)
    for weight in weights:
        values = LAYOUT.flatten(arrays_of(generator))
        add_into(total, encoder.encode(values, weight, draws_of(weight)).words)
        plain += weight * encoder.clamp(values)
    mean, wanted = (LAYOUT.unflatten(each) for each in (encoder.decode(total, sum(weights)), plain / sum(weights)))
    bounds = {name: each.error_bound() for name, each in zip(LAYOUT.names, encoder.encoders, strict=True)}
    for name in LAYOUT.names:
        assert np.abs(mean[name] - wanted[name]).max(initial=0) <= bounds[name] * (1 + 1e-9)
    assert bounds["lora"] == pytest.approx(2e-3 / 65534)
    assert (bounds["steps"], bounds["seen"]) == (0, 0)
    assert encoder.error_bound() == bounds["w"]
    assert encoder.quanta == {name: bounds[name] for name in ("w", "b", "none", "lora")}


def test_a_frozen_array_does_not_drift():
    encoder = encoder_of()
    words = encoder.encode(np.zeros(LAYOUT.dimension), 1, draws_of(0)).words
    assert encoder.decode(words, 1).tobytes() == np.zeros(LAYOUT.dimension).tobytes()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("b", [0, 0, np.nan, 0], "'b' holds NaN or infinity, first at index 2 (finite numbers)"),
        ("lora", [0, np.inf, 0, 0, 0], "'lora' holds NaN or infinity, first at index 1 (finite numbers)"),
        ("steps", 32768, "'steps' holds whole numbers beyond 32767, first at index 0 (the most at 16 bits a value: "),
        ("steps", -(10**18), "'steps' holds whole numbers beyond 32767, first at index 0 (the most at 16 bits a value"),
        ("steps", 0.5, "'steps' holds numbers that are not whole, first at index 0 (whole ones, or floats in the"),
        ("steps", np.nan, "'steps' holds NaN or infinity"),
        ("seen", [0, 2**40], "'seen' holds whole numbers beyond 32767, first at index 1"),
    ],
)
def test_what_cannot_be_encoded_is_told_by_the_arrays_name(name, value, text):
    values = LAYOUT.flatten(arrays_of(np.random.default_rng(1)) | {name: np.array(value)})
    with pytest.raises(EncodingError) as caught:
        encoder_of().encode(values, 1, draws_of(0))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_tamed_values_are_all_encodable_and_others_stay_as_they_are(dtype):
    layout = Layout(("a", "n", "b"), ((4,), (4,), (1,)), ("<f4", "<i4", "<f4"))
    encoder = VectorEncoder.for_population(layout, 4, (100_000.0, 1.0, 0.1), 8, rounding="nearest")
    values = np.array([np.nan, np.inf, -np.inf, 0.25, np.nan, np.inf, -300, 2.5, -np.inf], dtype)
    tamed = encoder.tame(values)
    assert tamed.tolist() == [0, 100_000, -100_000, 0.25, 0, 127, -127, 2, -0.1]
    assert encoder.encode(tamed, 1).clipped == 0
    good = np.array([1, -2, 3, 0.5, 7, -127, 127, 0, 0.05], dtype)
    assert np.array_equal(encoder.tame(good), good.astype(np.float64))


def test_small_values_are_counted_for_each_array():
    arrays = arrays_of(np.random.default_rng(1)) | {"w": np.full((3, 4), 1e-5), "b": np.array([0, 1e-5, 1, 0])}
    assert encoder_of().count_small(LAYOUT.flatten(arrays)).tolist()[:2] == [[12, 12], [1, 2]]
    assert encoder_of().count_small(np.zeros(LAYOUT.dimension)).tolist() == [[0, 0]] * 6


def test_the_digest_is_of_all_that_makes_the_encoding():
    plain = encoder_of()
    others = [
        encoder_of(clips=(8.0, 8.0, 8.0, 8.0, 1e-2, 8.0)),
        encoder_of(bits=15),
        encoder_of(rounding="nearest"),
        encoder_of(replace(LAYOUT, dtypes=("<f4", "<f4", "<f4", "<f4", "<f8", "|b1"))),
        encoder_of(replace(LAYOUT, names=("b", "w", "steps", "none", "lora", "seen"))),
        encoder_of(replace(LAYOUT, shapes=((4, 3), (4,), (), (0,), (5,), (2,)))),
    ]
    assert len({each.digest() for each in [plain, *others]}) == 7
    narrower = replace(LAYOUT, dtypes=("<f2", "<f8", "<i2", "<f4", "<f4", "<u8"))
    assert plain.digest() == encoder_of(narrower).digest()  # widths do not matter, kinds do


def test_weights_are_those_of_a_single_encoder():
    with pytest.raises(EncodingError, match="weight must be 1 to 9, the published bound"):
        encoder_of().encode(np.zeros(LAYOUT.dimension), 10, draws_of(0))
    assert encoder_of().ring == Encoder.for_population(50, 8.0, 16, 9).ring


# -- clips by name ---------------------------------------------------------------------------------------------------


def clips(**by_name):
    return dict(zip(LAYOUT.names, clips_of(LAYOUT, 8.0, by_name), strict=True))


def test_a_clip_is_by_name_by_pattern_or_the_one_for_all():
    assert set(clips().values()) == {8.0}
    assert clips(lora=0.1)["lora"] == 0.1
    assert clips(lora=0.1)["w"] == 8.0
    assert clips_of(LAYOUT, 8.0, {"l*": 0.1, "[wb]": 2.0}) == (2.0, 2.0, 8.0, 8.0, 0.1, 8.0)
    assert clips(**{"*": 2.0, "lora": 0.1})["lora"] == 0.1  # a name goes before a pattern, in either order
    assert clips(**{"lora": 0.1, "*": 2.0})["lora"] == 0.1
    assert clips(**{"*a": 0.1, "l*": 0.1})["lora"] == 0.1


@pytest.mark.parametrize(
    ("by_name", "key", "text"),
    [
        ({"lorra": 1.0}, "lorra", "is no array of floats (did you mean 'lora'?)"),
        ({"x.*": 1.0}, "x.*", "is no array of floats (a name such as 'w', or a pattern of names)"),
        ({"steps": 1.0}, "steps", "is an array of whole numbers, which are never clipped (an array of floats)"),
        ({"s*": 1.0}, "s*", "is no array of floats ("),
        ({"l*": 1.0, "*a": 2.0}, "*a", "fits 'lora', and so does 'l*' (one pattern, or its name)"),
    ],
)
def test_names_that_give_no_clip_are_refused(by_name, key, text):
    with pytest.raises(ClipError) as caught:
        clips(**by_name)
    assert caught.value.key == key
    assert str(caught.value).startswith(text)


def test_a_name_that_looks_like_a_pattern_is_a_name_first():
    layout = Layout(("w[0]", "w0"), ((1,), (1,)), ("<f4", "<f4"))
    assert clips_of(layout, 8.0, {"w[0]": 1.0, "w0": 2.0}) == (1.0, 2.0)
