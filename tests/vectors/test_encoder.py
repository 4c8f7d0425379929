"""The encoder against exact rational arithmetic: rounding, bias, bounds, clipping, refusals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.vectors.encoder import MAX_BITS, MIN_BITS, DecodingError, Encoder, EncodingError, ValueRefused
from asyncagg.vectors.ring import Ring, RingError, add_into, smallest_ring


def draws_of(generator):
    return lambda count: generator.integers(0, 1 << 16, count, dtype=np.uint16)


def constant(value):
    return lambda count: np.full(count, value, np.uint16)


def exact(encoder, value):
    """u = (x + clip)·q as a rational number, for a value within ±clip."""
    return (Fraction(float(value)) + Fraction(encoder.clip)) * encoder.steps / (2 * Fraction(encoder.clip))


def mean_of(encoder, contributions):
    """The mean of (words, weight) without a ring: summed in 64 bits, which nothing here fills."""
    total = sum(words.astype(np.uint64) for words, _ in contributions)
    return encoder.decode(total.astype(encoder.ring.dtype), sum(weight for _, weight in contributions))


def values_of(generator, clip, count, dtype):
    values = generator.uniform(-clip, clip, count).astype(dtype)
    values[:6] = [0.0, -0.0, clip, -clip, clip / 3, -clip / 7]
    return np.clip(values, -clip, clip).astype(dtype)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("bits", range(MIN_BITS, MAX_BITS + 1))
def test_stochastic_rounding_is_floor_of_fixed_point_plus_draw(bits, dtype):
    encoder = Encoder.for_population(3, 0.75, bits)
    values = values_of(np.random.default_rng(bits), 0.75, 100, dtype)
    draws = np.random.default_rng(1).integers(0, 1 << 16, 100, dtype=np.uint16)
    words, clipped = encoder.encode(values, 1, lambda count: draws[:count])
    assert clipped == 0
    for value, draw, word in zip(values, draws, words.tolist(), strict=True):
        u = exact(encoder, value)
        assert abs(word - u) < 1 or word == u
        if abs(u * 2**16 % 1 - Fraction(1, 2)) > Fraction(1, 16):  # else two roundings may differ from one
            assert word == (round(u * 2**16) + int(draw)) >> 16


@pytest.mark.parametrize("bits", [2, 8, 15, 16, 17, 24, 32])
def test_stochastic_rounding_is_unbiased_over_all_draws(bits):
    encoder = Encoder.for_population(3, 8.0, bits)
    everything = np.arange(1 << 16, dtype=np.uint16)
    for value in [0.0, 1.2345, -7.999, 8.0, -8.0, 3e-7]:
        words, _ = encoder.encode(np.full(1 << 15, value), 1, lambda count: everything[0:count])
        more, _ = encoder.encode(np.full(1 << 15, value), 1, lambda count: everything[count:])
        average = Fraction(int(words.astype(object).sum() + more.astype(object).sum()), 1 << 16)
        assert abs(average - exact(encoder, value)) <= Fraction(17, 32 * 2**16)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bits", [2, 3, 8, 16, 17, 31, 32])
def test_nearest_rounding_is_within_half_a_quantum(bits, dtype):
    encoder = Encoder.for_population(5, 2.5, bits, rounding="nearest")
    values = values_of(np.random.default_rng(bits), 2.5, 300, dtype)
    words = encoder.encode(values, 1).words
    tolerance = Fraction(1, 2) + Fraction(1, 2**20)
    assert all(abs(w - exact(encoder, v)) <= tolerance for v, w in zip(values, words.tolist(), strict=True))


@pytest.mark.parametrize("bits", range(MIN_BITS, MAX_BITS + 1))
def test_the_ends_of_the_range_are_exact(bits):
    for clip in (8.0, 0.1, 1e-30, 1e30, 3.3):
        for rounding in ("stochastic", "nearest"):
            encoder = Encoder.for_population(3, clip, bits, rounding=rounding)
            for draw in (0, 65535):
                words = encoder.encode(np.array([-clip, clip]), 1, constant(draw)).words
                assert words.tolist() == [0, encoder.steps]


def test_a_bound_that_a_narrow_type_cannot_hold_is_clamped_in_float64():
    encoder = Encoder.for_population(3, 0.1, 16)
    values = np.array([0.1, -0.1], np.float32)  # the nearest float32 lies beyond
    words, clipped = encoder.encode(values, 1, constant(65535))
    assert (words.tolist(), clipped) == ([65534, 0], 2)


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("bits", [8, 16, 20])
def test_fifty_owners_stay_within_the_stated_bound(bits, rounding):
    generator, clip, count = np.random.default_rng(7), 4.0, 100_000
    encoder = Encoder.for_population(50, clip, bits, max_weight=9, rounding=rounding)
    total, total_weight, weighted = encoder.ring.zeros(count), 0, np.zeros(count)
    kept = []
    for owner in range(50):
        values = generator.normal(0, 2, count).astype(np.float32)
        values[:5] = [0, clip, -clip, 2 * clip, -1e30]
        weight = owner % 9 + 1
        encoded = encoder.encode(values, weight, draws_of(generator))
        assert encoded.clipped == np.count_nonzero(np.abs(values) > clip)
        add_into(total, encoded.words)
        kept.append((encoded.words, weight))
        total_weight += weight
        weighted += weight * np.clip(values.astype(np.float64), -clip, clip)
    mean = encoder.decode(total, total_weight)
    error = np.abs(mean - weighted / total_weight)
    assert error.max() <= encoder.error_bound() * (1 + 1e-9)
    assert error.max() >= encoder.error_bound() / 20  # the bound says something
    assert np.array_equal(mean, mean_of(encoder, kept))


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("bits", [2, 8, 16, 24])
def test_the_bound_on_errors_is_tight(bits, rounding):
    generator = np.random.default_rng(bits)
    encoder = Encoder.for_population(1, 3.0, bits, rounding=rounding)
    values = generator.uniform(-3, 3, 50_000)
    error = np.abs(mean_of(encoder, [(encoder.encode(values, 1, draws_of(generator)).words, 1)]) - values).max()
    assert 0.97 * encoder.error_bound() < error <= encoder.error_bound() * (1 + 1e-9)


def test_the_spread_of_a_mean_is_as_stated():
    generator, clip = np.random.default_rng(3), 1.0
    encoder = Encoder.for_population(16, clip, 4, max_weight=4)
    weights = [1, 2, 3, 4] * 4
    values = generator.uniform(-1, 1, 20_000)
    mean = mean_of(encoder, [(encoder.encode(values, w, draws_of(generator)).words, w) for w in weights])
    largest = np.sqrt(sum(w * w for w in weights)) / (2 * encoder.scale * sum(weights))
    spread = np.sqrt(np.mean((mean - values) ** 2))
    assert largest / 2 < spread <= largest
    assert abs(np.mean(mean - values)) < 5 * largest / np.sqrt(values.size)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 32), st.integers(1, 2**31), st.data())
def test_decoding_is_exact_arithmetic_at_any_width(bits, weight, data):
    encoder = Encoder.for_population(weight, 0.3, bits)
    elements = data.draw(st.lists(st.integers(0, weight * encoder.steps), min_size=1, max_size=5))
    mean = encoder.decode(np.array(elements, encoder.ring.dtype), weight)
    for element, value in zip(elements, mean.tolist(), strict=True):
        wanted = Fraction(element) / encoder.steps / weight * 2 * Fraction(0.3) - Fraction(0.3)
        assert abs(Fraction(value) - wanted) <= abs(wanted) * Fraction(1, 2**50)


def test_decoding_ignores_what_lies_above_the_ring():
    encoder = Encoder.for_population(3, 1.0, 8)
    total = np.array([254, 254 + (1 << encoder.ring.bits)], "<u4")
    assert encoder.decode(total, 2).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("words", "weight", "text"),
    [
        ([509], 2, "1 of 1 coordinates exceed the largest sum of weight 2"),
        ([0], 0, "total weight of 0"),
        ([0], -1, "total weight of -1"),
        ([0], 5, "total weight of 5 does not fit 10 bits"),
    ],
)
def test_totals_that_no_inputs_have_are_refused(words, weight, text):
    with pytest.raises(DecodingError, match=text):
        Encoder.for_population(3, 1.0, 8).decode(np.array(words, "<u4"), weight)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_not_a_number_and_infinity_are_refused_with_their_place(wrong, dtype):
    values = np.zeros(140_000, dtype)
    values[[136_000, 139_999]] = wrong
    with pytest.raises(ValueRefused, match=r"holds NaN or infinity, first at index 136000 \(finite numbers\)"):
        Encoder.for_population(3, 1.0, 16).encode(values, 1, constant(0))


@pytest.mark.parametrize("weight", [0, -1, 8, 2**40])
def test_weights_out_of_range_are_refused_without_being_told(weight):
    with pytest.raises(EncodingError, match="weight must be 1 to 7, the published bound") as caught:
        Encoder.for_population(3, 1.0, 16, max_weight=7).encode(np.zeros(2), weight, constant(0))
    assert str(2**40) not in str(caught.value)


@pytest.mark.parametrize("weight", [1.0, True, "1", None])
def test_weights_are_integers(weight):
    with pytest.raises(EncodingError, match="weight must be an integer"):
        Encoder.for_population(3, 1.0, 16).encode(np.zeros(2), weight, constant(0))


@pytest.mark.parametrize(
    "values", [np.zeros((2, 2)), np.zeros(2, int), np.zeros(2, complex), np.zeros(2, np.longdouble)]
)
def test_only_flat_float_vectors_are_encoded(values):
    with pytest.raises(EncodingError, match="flat float16, float32 or float64"):
        Encoder.for_population(3, 1.0, 16).encode(values, 1, constant(0))


def test_stochastic_rounding_needs_draws():
    with pytest.raises(EncodingError, match="needs draws"):
        Encoder.for_population(3, 1.0, 16).encode(np.zeros(2), 1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bits": 1}, "bits must be 2 to 32"),
        ({"bits": 33}, "bits must be 2 to 32"),
        ({"clip": 0.0}, "clip"),
        ({"clip": -1.0}, "clip"),
        ({"clip": float("nan")}, "clip"),
        ({"clip": float("inf")}, "clip"),
        ({"clip": 5e-324}, "clip"),
        ({"clip": 1.7e308}, "clip"),
        ({"max_weight": 0}, "max_weight 0"),
        ({"max_weight": 5}, "max_weight 5 at 16 bits a value does not fit a ring of 18 bits"),
        ({"rounding": "up"}, "rounding must be one of stochastic, nearest, none"),
        ({"rounding": "none", "clip": 32768.0}, "whole numbers of 16 bits have a clip of 32767"),
    ],
)
def test_encoders_that_cannot_work_are_refused(arguments, text):
    usual = {"clip": 1.0, "bits": 16, "ring": Ring(18), "max_weight": 1, "rounding": "stochastic"}
    with pytest.raises(EncodingError, match=text):
        Encoder(**usual | arguments)


def test_a_population_that_no_ring_holds_is_refused():
    with pytest.raises(RingError, match="ring of 66 bits"):
        Encoder.for_population(2**20, 1.0, 32, max_weight=2**14)


def test_an_empty_vector_has_no_words():
    assert Encoder.for_population(3, 1.0, 16).encode(np.empty(0), 1, constant(0)).words.size == 0


def test_weights_multiply_within_the_ring():
    encoder = Encoder.for_population(2, 1.0, 32, max_weight=2**31)
    assert encoder.ring.bits == 64
    words = encoder.encode(np.array([1.0, -1.0]), 2**31, constant(0)).words
    assert words.tolist() == [encoder.steps * 2**31, 0]


# -- zero, and values that are small ---------------------------------------------------------------------------------


def test_known_values_of_sixteen_bits_by_hand() -> None:
    """q = 65534/16 = 4095.875, and 0 stands at 32767: 1 at 36862.875, −2 at 24575.25."""
    values = np.array([0.0, -0.0, 8.0, -8.0, 1.0, -2.0])
    encoder = Encoder.for_population(3, 8.0, 16)
    assert encoder.encode(values, 1, constant(0)).words.tolist() == [32767, 32767, 65534, 0, 36862, 24575]
    assert encoder.encode(values, 1, constant(1 << 13)).words.tolist() == [32767, 32767, 65534, 0, 36863, 24575]
    assert encoder.encode(values, 1, constant(3 << 14)).words.tolist() == [32767, 32767, 65534, 0, 36863, 24576]
    nearest = Encoder.for_population(3, 8.0, 16, rounding="nearest")
    assert nearest.encode(values, 1).words.tolist() == [32767, 32767, 65534, 0, 36863, 24575]


@pytest.mark.parametrize("rounding", ["stochastic", "nearest", "none"])
@pytest.mark.parametrize("bits", range(MIN_BITS, MAX_BITS + 1))
def test_zero_comes_back_as_zero_whatever_is_drawn(bits, rounding):
    clips = [(1 << bits - 1) - 1] if rounding == "none" else [8.0, 0.1, 1e-30, 1e30, 3.3]
    for clip in clips:
        encoder = Encoder.for_population(50, clip, bits, max_weight=7, rounding=rounding)
        for draw in (0, 1, 32768, 65535):
            words = encoder.encode(np.array([0.0, -0.0], np.float32), 7, constant(draw)).words
            assert words.tolist() == [7 * encoder.zero] * 2
            total = np.array(words.astype(object) * 50 % encoder.ring.modulus, encoder.ring.dtype)
            assert encoder.decode(total, 350).tobytes() == np.zeros(2).tobytes()


def test_rounding_to_the_nearest_treats_both_signs_alike():
    encoder = Encoder.for_population(3, 127.0, 8, rounding="nearest")
    values = np.linspace(-127, 127, 1017)
    steps = encoder.encode(values, 1).words.astype(int) - encoder.zero
    assert np.array_equal(steps, -steps[::-1])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_values_below_one_step_are_counted_as_by_hand(dtype):
    encoder = Encoder.for_population(3, 127.0, 8)  # one step is 1
    values = np.array([0, -0.0, 0.5, -0.25, 0.999, 1, -1, 1.5, 127, 200, 6e-8], dtype)
    assert encoder.quantum == 1
    assert encoder.count_small(values) == (4, 9)
    assert encoder.count_small(np.zeros(3, dtype)) == (0, 0)


# -- whole numbers ---------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 32), st.integers(1, 2**20), st.integers(1, 50), st.data())
def test_sums_of_whole_numbers_are_exact_at_any_width(bits, weight, owners, data):
    most = 2 ** (bits - 1) - 1
    encoder = Encoder.of_whole(bits, smallest_ring(owners, weight, bits), weight)
    row = st.lists(st.integers(-most, most), min_size=3, max_size=3)
    rows = data.draw(st.lists(row, min_size=owners, max_size=owners))
    total = encoder.ring.zeros(3)
    for values in rows:
        add_into(total, encoder.encode(np.array(values, np.float64), weight).words)
    sums = [weight * sum(column) for column in zip(*rows, strict=True)]
    assert encoder.decode(total, owners * weight).tolist() == [each / (owners * weight) for each in sums]
    assert encoder.error_bound() == 0


@pytest.mark.parametrize("wrong", [128.0, -128.0, 1e300, 2.0**53])
def test_whole_numbers_beyond_the_bits_are_refused_with_their_place(wrong):
    values = np.zeros(140_000)
    values[[136_000, 139_999]] = wrong
    right = r"whole numbers beyond 127, first at index 136000 \(the most at 8 bits a value: more bits, or floats"
    with pytest.raises(ValueRefused, match=right):
        Encoder.of_whole(8, Ring(10)).encode(values, 1)
    values[[136_000, 139_999]] = np.sign(wrong) * 127
    assert Encoder.of_whole(8, Ring(10)).encode(values, 1).clipped == 0


def test_what_is_not_whole_is_refused_with_its_place():
    values = np.zeros(140_000)
    values[136_000] = 1 + 2**-40
    with pytest.raises(ValueRefused, match=r"numbers that are not whole, first at index 136000 \(whole ones"):
        Encoder.of_whole(8, Ring(10)).encode(values, 1)


def test_a_mean_of_sums_beyond_float64_is_rounded_once():
    encoder = Encoder.of_whole(32, smallest_ring(3, 2**30, 32), 2**30)
    weight = 3 * 2**30 - 1
    wanted = [Fraction(2**62 + 2**9 + 1), Fraction(-(2**61) - 1), Fraction(7)]
    total = np.array([int(each) + weight * encoder.zero for each in wanted], encoder.ring.dtype)
    assert encoder.decode(total, weight).tolist() == [float(each / weight) for each in wanted]
