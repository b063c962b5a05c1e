import numpy as np
import pytest
from scipy import stats

from lit_seq.report.pairs import pairs
from lit_seq.report.table import Row


def row(label, scores, task=None, seeds=None):
    seeds = list(range(len(scores))) if seeds is None else seeds
    n = len(scores)
    return Row(
        label, task, None, 1, n, {"finished": n}, n, seeds=seeds, scores=list(scores), mean=np.mean(scores)
    )


def only(found):
    [pair] = found
    return pair


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_probability_is_the_mann_whitney_statistic_over_the_pairs(goal):
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 6, 9).astype(float), generator.integers(2, 8, 7).astype(float)
    pair = only(pairs([row("A", a), row("B", b)], goal, "mean"))
    statistic = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
    assert pair.probability == pytest.approx(1 - statistic if goal == "minimize" else statistic)


def test_interval_agrees_with_scipys_bootstrap_of_the_same_statistic():
    generator = np.random.default_rng(3)
    a, b = generator.normal(0, 1, 10), generator.normal(0.8, 1, 10)

    def improvement(x, y, axis):
        return (x[..., :, None] < y[..., None, :]).mean(axis=(-1, -2))

    for seeds, paired in ((None, True), (range(100, 110), False)):
        expected = stats.bootstrap((a, b), improvement, paired=paired, method="percentile", rng=5)
        found = only(pairs([row("A", a), row("B", b, seeds=seeds and list(seeds))], "minimize", "mean"))
        low, high = expected.confidence_interval
        assert found.interval == pytest.approx((low, high), abs=0.02)


def test_too_few_seeds_and_full_separation_have_no_interval():
    few = only(pairs([row("A", [1.0, 2.0, 3.0]), row("B", [2.0, 3.0, 4.0])], "minimize", "mean"))
    assert (few.probability, few.interval) == (pytest.approx(7 / 9), None)
    apart = only(pairs([row("A", range(6)), row("B", range(10, 16))], "minimize", "mean"))
    assert (apart.probability, apart.interval) == (1.0, None)
    same = only(pairs([row("A", [1.0] * 5), row("B", [1.0] * 5)], "minimize", "mean"))
    assert (same.probability, same.interval) == (0.5, None)


def test_of_many_configurations_the_best_is_compared_with_each():
    rows = [row(f"N{i}", [float(i)] * 5) for i in range(8)]
    assert [(p.better, p.worse) for p in pairs(rows, "minimize", "mean")] == [
        ("N0", f"N{i}") for i in range(1, 8)
    ]
    assert len(pairs(rows[:4], "minimize", "mean")) == 6


def test_probability_over_tasks_is_the_mean_of_the_tasks():
    # On the second task B leads: its probability there counts as one minus.
    first = [row("A", [1.0, 2.0, 3.0, 4.0, 9.0], "x"), row("B", [5.0, 6.0, 7.0, 8.0, 8.5], "x")]
    second = [row("B", [1.0, 2.0, 3.0, 4.0, 4.2], "y"), row("A", [4.1, 5.0, 6.0, 7.0, 8.0], "y")]
    found = pairs(first + second, "minimize", "mean")
    assert [(p.task, p.better, p.probability) for p in found[:2]] == [
        ("x", "A", pytest.approx(20 / 25)),
        ("y", "B", pytest.approx(24 / 25)),
    ]
    overall = found[2]
    assert (overall.task, overall.better, overall.worse) == ("all tasks", "B", "A")
    assert overall.probability == pytest.approx((5 / 25 + 24 / 25) / 2)
    assert overall.interval.low < overall.probability < overall.interval.high
