import pytest
from fake_sweep import simple_sweep

from lit_seq.report.answer import answer
from lit_seq.report.document import build
from lit_seq.report.plan import Plan
from lit_seq.report.score import Judge
from lit_seq.report.statistics import Difference, Interval
from lit_seq.report.table import Row

FIVE = range(1, 6)


def said(tmp_path, values, metric=("val/loss", "minimize"), state=lambda cell, seed: ("finished", None)):
    return build(Plan(runs=[str(simple_sweep(tmp_path / "s", values, metric, state))])).answer


def test_clear_winner_is_named_with_the_interval_of_the_paired_difference(tmp_path):
    # Differences .96, .98, 1, 1.02, 1.04: mean 1, standard error .0316/√5 = .01414, t = 2.776.
    values = {"A": dict.fromkeys(FIVE, 1.0) | {1: 1.5}, "B": {}}
    values["B"] = {seed: values["A"][seed] + 0.95 + seed / 50 - 0.01 for seed in FIVE}
    text = said(tmp_path, values)
    assert text.startswith("A is best: validation loss 1.100 (mean of 5 seeds, 95 % interval ")
    assert "1.000 below B, the next (95 % interval 0.961 to 1.039, paired over 5 common seeds)" in text
    assert "weak" not in text


def test_no_winner_where_the_interval_includes_zero(tmp_path):
    text = said(tmp_path, {"A": {1: 1.0, 2: 2.0, 3: 3.0}, "B": {1: 2.0, 2: 1.8, 3: 2.9}})
    assert text.startswith("A has the best mean, validation loss 2.000")
    assert "cannot be told apart from B" in text
    assert "includes zero" in text


def test_two_seeds_are_called_weak_evidence(tmp_path):
    text = said(tmp_path, {"A": {1: 1.0, 2: 1.001}, "B": {1: 2.0, 2: 2.0}})
    assert text.startswith("A is best")
    assert "Two seeds are weak evidence" in text


def test_one_seed_gives_no_verdict(tmp_path):
    text = said(tmp_path, {"A": {1: 1.0}, "B": {1: 2.0}})
    assert "whether it beats B cannot be told: the difference is 1.00, and seeds are too few" in text
    assert "is best" not in text


def test_highest_wins_where_the_goal_is_to_maximize(tmp_path):
    values = {"A": {s: 0.5 + s / 1000 for s in FIVE}, "B": {s: 0.9 - s / 1000 for s in FIVE}}
    text = said(tmp_path, values, ("val/accuracy", "maximize"))
    assert text.startswith("B is best: validation accuracy 0.8970")
    assert "0.3940 above A" in text


def test_what_is_clearly_behind_is_named(tmp_path):
    values = {
        "A": {1: 1.00, 2: 1.10, 3: 1.05},
        "B": {1: 1.02, 2: 1.08, 3: 1.08},
        "C": {1: 3.00, 2: 3.11, 3: 3.04},
    }
    assert "Clearly behind A: C, by 2.000 (1.975 to 2.025)." in said(tmp_path, values)


def test_many_configurations_are_counted_instead(tmp_path):
    values = {f"N{i}": {s: 1.0 + i + s / 100 + i * s * s / 1000 for s in FIVE} for i in range(8)}
    text = said(tmp_path, values)
    assert "All 6 further configurations are worse than N0" in text
    assert "not corrected for 6 comparisons" in text


def test_mean_over_survivors_is_said_to_be_one(tmp_path):
    values = {"A": {s: 1.0 + s / 100 for s in FIVE}, "B": {s: 2.0 + s / 90 for s in FIVE}}
    text = said(
        tmp_path, values, state=lambda c, s: ("diverged", "nan") if c == "A" and s > 3 else ("finished", None)
    )
    assert "A counts 3 of 5 trials (2 diverged)." in text


def test_only_one_configuration_has_finished(tmp_path):
    values = {"A": {1: 1.0, 2: 2.0}, "B": {1: 2.0}}
    text = said(tmp_path, values, state=lambda c, s: ("finished" if c == "A" else "running", None))
    assert text.startswith("A reaches validation loss 1.500")
    assert "It is the only configuration with a finished trial." in text


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_ranking_that_common_seeds_contradict_is_no_win(goal):
    """A leads over all its seeds, B over the seeds that both have."""
    sign = 1 if goal == "minimize" else -1
    a = Row("A", None, None, 1, 5, {"finished": 5}, 5, mean=1.0, interval=Interval(0.9, 1.1))
    b = Row("B", None, None, 1, 3, {"finished": 3}, 3, mean=1.0 + sign * 0.1, interval=Interval(1.0, 1.2))
    b.difference = Difference(-sign * 0.5, Interval(*sorted((-sign * 0.4, -sign * 0.6))), paired=True, n=3)
    text = answer([a, b], Judge("val/loss", goal))
    assert "is best" not in text
    assert "over the seeds that both have, B is ahead by 0.50 (95 % interval 0.40 to 0.60" in text


def test_what_cannot_be_compared_is_named_with_the_reason_beside_it(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0}, "B": {1: 2.0}, "C": {1: 3.0}})
    (sweep / "trials" / "0002" / "metrics.csv").write_text("step,epoch,train/loss\n1,0,1\n")
    document = build(Plan(runs=[str(sweep)]))
    assert "Not compared, as no trial counts: C." in document.answer
    assert [row.warning for row in document.rows if row.label == "C"] == ["finished without the metric"]
