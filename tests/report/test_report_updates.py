import numpy as np
import pytest
from fake_sweep import write_sweep, write_trial
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lit_seq.errors import UserError
from lit_seq.report.document import build
from lit_seq.report.plan import Plan
from lit_seq.report.updates import restricted_mean, survival


def sweep(folder, cells, metric=("val/loss", "minimize")):
    """Write a sweep; `cells` has of each trial (state, step that comes to .5 or None, last step)."""
    write_sweep(folder, {"cell": list(cells), "seed_everything": [0]}, metric)
    for cell, fates in cells.items():
        for seed, (state, reached, last) in enumerate(fates):
            rows = [
                {"step": step, "epoch": 0, metric[0]: 0.25 if reached and step >= reached else 1.0}
                for step in range(10, last + 1, 10)
            ]
            overrides = {"cell": cell, "seed_everything": seed}
            write_trial(folder / "trials" / f"{cell}{seed}", overrides, rows, state=state, max_steps=100)
    return folder


def report(folder, **keys):
    return build(Plan(runs=[str(folder)], threshold=0.5, **keys))


def test_kaplan_and_meier_by_hand(tmp_path):
    # 6 trials: 20, 30+, 40, 40, 50+, 100+. S(20) = 5/6, S(40) = 5/6 · (1 - 2/4) = 5/12.
    fates = [
        ("finished", 20, 100),
        ("failed", None, 30),
        ("finished", 40, 100),
        ("finished", 40, 100),
        ("running", None, 50),
        ("finished", None, 100),
    ]
    [found] = report(sweep(tmp_path / "s", {"A": fates})).updates
    assert (found.trials, found.reached, found.diverged, found.unfinished) == (6, 3, 0, 2)
    assert (found.steps, found.share) == ([0, 20, 40, 100], pytest.approx([0, 1 / 6, 7 / 12, 7 / 12]))
    assert (found.median, found.horizon) == (40, 100)
    assert found.mean == pytest.approx(20 + 20 * 5 / 6 + 60 * 5 / 12)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=12))
def test_survival_is_scipys(observed):
    steps = np.array([step for step, _ in observed], dtype=float)
    reached = np.array([there for _, there in observed])
    events, [found] = survival(steps, reached, np.ones((1, len(steps))))
    data = stats.CensoredData(uncensored=steps[reached], right=steps[~reached])
    if reached.any():
        np.testing.assert_allclose(found, stats.ecdf(data).sf.evaluate(events), atol=1e-12)
    if reached.all():
        mean = restricted_mean(events, found[None], 5.0)
        assert mean[0] == pytest.approx(np.minimum(steps, 5).mean())


def test_diverged_trial_never_comes_there(tmp_path):
    fates = [("finished", 20, 100), ("diverged", None, 10)]
    other = [("finished", 30, 100), ("finished", 30, 100)]
    found = report(sweep(tmp_path / "s", {"A": fates, "B": other})).updates
    # Censored at its last step, A would need 20 updates; followed to the end it needs (20 + 100)/2.
    assert [(one.label, one.mean, one.diverged) for one in found] == [("B", 30, 0), ("A", 60, 1)]


def test_horizon_is_as_far_as_every_configuration_was_followed(tmp_path):
    fates = {"A": [("stopped", None, 40), ("finished", 20, 100)], "B": [("running", None, 60)]}
    found = report(sweep(tmp_path / "s", fates)).updates
    # Nobody knows what the stopped trial of A would have done behind 40.
    assert {one.horizon for one in found} == {40}
    assert {one.label: one.median for one in found} == {"A": 20, "B": None}


def test_bootstrap_interval_of_the_restricted_mean_of_uncensored_trials(tmp_path):
    reached = [10, 20, 20, 50, 70, 90]
    [found] = report(sweep(tmp_path / "s", {"A": [("finished", r, 100) for r in reached]})).updates
    expected = stats.bootstrap((reached,), np.mean, method="percentile", rng=1).confidence_interval
    assert found.interval == pytest.approx((expected.low, expected.high), abs=1.5)
    assert found.mean == pytest.approx(np.mean(reached))


def test_trials_that_are_all_alike_have_no_interval(tmp_path):
    found = report(sweep(tmp_path / "s", {"A": [("finished", None, 100)] * 6})).updates
    assert [(one.mean, one.reached, one.interval) for one in found] == [(100, 0, None)]


def test_judged_by_updates_the_quickest_wins_whatever_its_loss(tmp_path):
    fates = {
        "A": [("finished", 20, 100), ("finished", 30, 100), ("finished", 20, 100)],
        "B": [("finished", 70, 100), ("diverged", None, 40), ("finished", 80, 100)],
    }
    document = report(sweep(tmp_path / "s", fates), judge_by="updates")
    assert [(r.label, r.counted, r.mean) for r in document.rows] == [
        ("A", 3, pytest.approx(70 / 3)),
        ("B", 3, pytest.approx(250 / 3)),
    ]
    # What diverged has needed all updates, but is in no mean curve.
    assert {curve.label: curve.n for curve in document.panels[0].curves} == {"A": 3, "B": 2}
    assert document.answer.startswith(
        "A is best: 23.33 updates until validation loss ≤ 0.500 (mean of 3 seeds"
    )


def test_judged_by_the_last_value(tmp_path):
    write_sweep(tmp_path / "s", {"cell": ["A"], "seed_everything": [0]})
    rows = [
        {"step": s, "epoch": 0, "val/loss": v} for s, v in ((1, 1.0), (2, 0.2), (3, 0.7), (4, float("nan")))
    ]
    write_trial(tmp_path / "s" / "trials" / "0", {"cell": "A", "seed_everything": 0}, rows)
    document = build(Plan(runs=[str(tmp_path / "s")], metric="val/loss", judge_by="last"))
    assert document.rows[0].mean == 0.7
    assert "validation loss at the end 0.7000" in document.answer


def test_threshold_comes_from_the_sweep_and_updates_need_one(tmp_path):
    folder = sweep(tmp_path / "s", {"A": [("finished", 20, 100)]})
    assert build(Plan(runs=[str(folder)])).updates == []
    with pytest.raises(UserError, match="judge_by updates needs a threshold"):
        build(Plan(runs=[str(folder)], judge_by="updates"))
    text = (folder / "sweep.yaml").read_text()
    (folder / "sweep.yaml").write_text(text.replace("goal: minimize", "goal: minimize\n  target: 0.5"))
    assert build(Plan(runs=[str(folder)])).updates[0].reached == 1


def test_threshold_of_a_metric_that_is_maximised(tmp_path):
    folder = sweep(tmp_path / "s", {"A": [("finished", None, 100)]}, ("val/accuracy", "maximize"))
    [found] = report(folder).updates
    assert (found.reached, found.median) == (1, 10)
