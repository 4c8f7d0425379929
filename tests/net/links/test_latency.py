"""Latency models against their distribution functions, which are written down here a second time."""

import math
import random
from statistics import NormalDist, fmean, median

import pytest

from asyncagg.net.links.latency import (
    MAX_NS,
    Constant,
    Cubic,
    Empirical,
    Exponential,
    Latency,
    Lognormal,
    Normal,
    Pareto,
    Uniform,
)

MS = 1_000_000


def cubic_cdf(x: float) -> float:
    """P(20 + (0.3 / r**3) * 4 <= x) for r uniform in (0.05, 1], in milliseconds."""
    least = (0.3 * 4 * MS / (x - 20 * MS)) ** (1 / 3)
    return (1 - least) / (1 - 0.05)


MODELS = {
    "uniform": (Uniform(10 * MS, 30 * MS), lambda x: (x - 10 * MS) / (20 * MS)),
    "normal": (Normal(50 * MS, 5 * MS), NormalDist(50 * MS, 5 * MS).cdf),
    "lognormal": (Lognormal(50 * MS, 0.5), lambda x: NormalDist().cdf(math.log(x / (50 * MS)) / 0.5)),
    "exponential": (Exponential(50 * MS), lambda x: 1 - math.exp(-x / (50 * MS))),
    "pareto": (Pareto(10 * MS, 2.5), lambda x: 1 - (10 * MS / x) ** 2.5),
    "cubic": (Cubic(20 * MS, 20 * MS, a=0.3, clip=0.05, unit=5), cubic_cdf),
}


@pytest.fixture(params=MODELS)
def model_and_cdf(request):
    return MODELS[request.param]


def test_the_quantile_inverts_the_distribution_function(model_and_cdf):
    model, cdf = model_and_cdf
    for u in (1e-6, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1 - 1e-6):
        assert cdf(model.quantile(u)) == pytest.approx(u, abs=1e-9)


def test_drawn_delays_pass_a_kolmogorov_smirnov_test(model_and_cdf):
    model, cdf = model_and_cdf
    draw = random.Random("kolmogorov").random
    count = 4000
    delays = sorted(model.delay_ns(draw()) for _ in range(count))
    distance = max(
        max(abs(cdf(delay) - nth / count), abs(cdf(delay) - (nth + 1) / count)) for nth, delay in enumerate(delays)
    )
    assert distance < 1.63 / math.sqrt(count)  # the 1 % level


def test_delays_are_integers_and_every_draw_has_one(model_and_cdf):
    model, _ = model_and_cdf
    for u in (0.0, 2.0**-53, 1 - 2.0**-53):
        delay = model.delay_ns(u)
        assert type(delay) is int
        assert 0 <= delay <= MAX_NS


def test_means_and_medians_are_those_of_the_parameters():
    draw = random.Random("means").random
    draws = [draw() for _ in range(20_000)]
    assert fmean(map(Exponential(50 * MS).delay_ns, draws)) == pytest.approx(50 * MS, rel=0.03)
    assert median(map(Lognormal(50 * MS, 0.5).delay_ns, draws)) == pytest.approx(50 * MS, rel=0.03)
    assert fmean(map(Pareto(10 * MS, 3).delay_ns, draws)) == pytest.approx(15 * MS, rel=0.03)


def test_a_constant_needs_no_draw():
    assert Constant(40 * MS).delay_ns(0.3) == 40 * MS
    assert not Constant(40 * MS).varies
    assert Uniform(1, 2).varies


def test_rounding_is_to_the_nearest_nanosecond():
    model = Uniform(0, 3)
    assert [model.delay_ns(u) for u in (0.1, 0.2, 0.5 + 1e-9, 0.9)] == [0, 1, 2, 3]


def test_bounds_clamp_and_a_normal_tail_below_zero_is_zero():
    model = Exponential(50 * MS, min_ns=10 * MS, max_ns=60 * MS)
    assert model.delay_ns(0.01) == 10 * MS
    assert model.delay_ns(0.5) == round(50 * MS * math.log(2))
    assert model.delay_ns(0.99) == 60 * MS
    assert Normal(MS, MS).delay_ns(0.001) == 0


def test_the_cubic_model_draws_its_least_latency_once_a_pair():
    model = Cubic(10 * MS, 100 * MS, a=0.3, clip=0.05, unit=5, max_ns=900 * MS)
    pair = model.between(lambda: 0.25)
    assert pair == Cubic(32_500_000, 32_500_000, a=0.3, clip=0.05, unit=5, max_ns=900 * MS)
    assert pair.between(pytest.fail) is pair
    # x = 1 at a draw of 0, where the jitter is least: a / unit of the least latency
    assert pair.quantile(1e-18) == pytest.approx(32_500_000 * (1 + 0.3 / 5))


def test_other_models_are_the_same_for_every_pair():
    for model, _ in MODELS.values():
        assert model.between(pytest.fail) is model


def test_empirical_quantiles_are_met_with_straight_lines_between():
    model = Empirical((10, 20, 20, 100))
    assert [model.delay_ns(u) for u in (0.0, 1 / 6, 1 / 3, 0.5, 2 / 3, 5 / 6)] == [10, 15, 20, 20, 20, 60]
    assert model.delay_ns(1 - 2.0**-53) == 100


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-1),
        lambda: Constant(MAX_NS + 1),
        lambda: Constant(1, min_ns=2, max_ns=1),
        lambda: Uniform(2, 1),
        lambda: Normal(1, -1),
        lambda: Lognormal(0, 1),
        lambda: Lognormal(1, math.nan),
        lambda: Exponential(0),
        lambda: Pareto(0, 1),
        lambda: Pareto(1, 0.01),
        lambda: Cubic(2, 1),
        lambda: Cubic(1, 1, clip=0),
        lambda: Cubic(1, 1, unit=0),
        lambda: Empirical((1,)),
        lambda: Empirical((2, 1)),
        lambda: Empirical((-1, 1)),
    ],
)
def test_parameters_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="a latency needs "):
        make()


def test_models_are_values():
    assert Uniform(1, 2) == Uniform(1, 2)
    assert len({Constant(1), Constant(1), Uniform(1, 1)}) == 2
    assert isinstance(Constant(1), Latency)
