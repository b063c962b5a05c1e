import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lit_seq.report.statistics import difference, estimate, interquartile_mean, mean_interval

# Two-sided 95 % quantiles of Student's t, from a printed table.
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262}

values = st.floats(-1e3, 1e3).map(lambda x: round(x, 6))


@pytest.mark.parametrize("freedom", T_TABLE)
def test_half_width_is_the_tabled_quantile_times_the_standard_error(freedom):
    sample = [math.sin(i) for i in range(freedom + 1)]
    interval = mean_interval(sample)
    error = np.std(sample, ddof=1) / math.sqrt(len(sample))
    assert (interval.high - interval.low) / 2 == pytest.approx(T_TABLE[freedom] * error, rel=2e-4)
    assert (interval.high + interval.low) / 2 == pytest.approx(np.mean(sample))


@given(st.lists(values, min_size=2, max_size=30, unique=True))
def test_interval_agrees_with_scipys_one_sample_test(sample):
    expected = stats.ttest_1samp(sample, 0.0).confidence_interval(0.95)
    assert mean_interval(sample) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-6)


def test_no_interval_of_fewer_than_two_values():
    assert mean_interval([1.0]) is None
    assert mean_interval([]) is None


def test_equal_values_give_an_interval_without_width():
    assert mean_interval([0.1, 0.1, 0.1]) == pytest.approx((0.1, 0.1))


def test_interval_covers_the_true_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    intervals = [mean_interval(sample) for sample in generator.normal(3, 2, (2000, 3)).tolist()]
    covered = sum(low <= 3 <= high for low, high in intervals)
    assert stats.binomtest(covered, 2000, 0.95).pvalue > 0.01


@given(st.lists(st.tuples(values, values), min_size=2, max_size=20))
def test_paired_difference_agrees_with_scipys_related_samples_test(pairs):
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    found = difference(dict(enumerate(left)), dict(enumerate(right)))
    assert (found.paired, found.n) == (True, len(pairs))
    assert found.mean == pytest.approx((left - right).mean(), abs=1e-9)
    if np.std(left - right) > 1e-6:
        expected = stats.ttest_rel(left, right).confidence_interval(0.95)
        assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-6)


def test_only_common_seeds_are_paired():
    found = difference({1: 5.0, 2: 7.0, 9: 100.0}, {2: 4.0, 1: 3.0, 8: -50.0})
    assert (found.mean, found.n, found.paired) == (2.5, 2, True)


def test_pairing_removes_what_the_seeds_share():
    shared = {seed: 10.0 * seed for seed in range(5)}
    slightly_more = {seed: value + 1 + 0.01 * (-1) ** seed for seed, value in shared.items()}
    assert difference(slightly_more, shared).told_apart
    assert not difference(list(slightly_more.values()), list(shared.values())).told_apart


def test_without_common_seeds_the_interval_is_welchs():
    a, b = [1.0, 2.0, 4.0, 4.5], [0.0, 0.5, 0.2]
    found = difference(dict(zip((1, 2, 3, 4), a, strict=True)), dict(zip((5, 6, 7), b, strict=True)))
    va, vb = np.var(a, ddof=1) / 4, np.var(b, ddof=1) / 3
    freedom = (va + vb) ** 2 / (va**2 / 3 + vb**2 / 2)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(va + vb)
    gap = np.mean(a) - np.mean(b)
    assert not found.paired
    assert found.interval == pytest.approx((gap - half, gap + half))


def test_one_value_a_side_gives_a_difference_and_no_interval():
    found = difference({1: 2.0}, {1: 1.5})
    assert (found.mean, found.interval, found.told_apart) == (0.5, None, False)


@pytest.mark.parametrize(
    ("statistic", "scipys"), [("mean", np.mean), ("iqm", lambda x, axis: stats.trim_mean(x, 0.25, axis=axis))]
)
@pytest.mark.parametrize("n", [5, 6, 11])
def test_bootstrap_interval_is_scipys(statistic, scipys, n):
    sample = np.random.default_rng(n).lognormal(size=n)
    expected = stats.bootstrap((sample,), scipys, method="percentile", rng=0).confidence_interval
    found = estimate(sample.tolist(), statistic)
    assert found.method == "bootstrap"
    assert found.interval == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(scipys(sample, axis=0))


def test_too_few_values_are_not_resampled():
    few = estimate([1.0, 2.0, 4.0, 5.0])
    assert (few.method, few.interval) == ("t", mean_interval([1.0, 2.0, 4.0, 5.0]))
    assert estimate([1.0, 2.0, 4.0, 5.0], "iqm") == (type(few))(3.0, None, None)
    assert estimate([1.0]).interval is None


def test_interquartile_mean_drops_a_quarter_at_each_end():
    assert interquartile_mean([100.0, 1.0, 2.0, 3.0, -50.0, 4.0, 5.0, 6.0]) == 3.5
    assert interquartile_mean([1.0, 2.0, 9.0]) == 4.0
    assert interquartile_mean([[1.0, 2.0, 3.0, 90.0], [0.0, 0.0, 4.0, 4.0]]).tolist() == [2.5, 2.0]


def test_difference_of_interquartile_means_draws_common_seeds_together():
    generator = np.random.default_rng(1)
    shared = generator.normal(0, 10, 8)
    a, b = shared + 1 + generator.normal(0, 0.1, 8), shared
    expected = stats.bootstrap(
        (a, b),
        lambda x, y, axis: stats.trim_mean(x, 0.25, axis=axis) - stats.trim_mean(y, 0.25, axis=axis),
        paired=True,
        method="percentile",
        rng=0,
    ).confidence_interval
    found = difference(dict(enumerate(a)), dict(enumerate(b)), "iqm")
    assert found.interval == pytest.approx((expected.low, expected.high))
    assert found.told_apart
    assert difference(dict(enumerate(a[:4])), dict(enumerate(b[:4])), "iqm").interval is None
