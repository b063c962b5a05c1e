import json

import numpy as np
import pandas as pd
import pytest
from fake_sweep import write_sweep, write_trial
from hypothesis import given
from hypothesis import strategies as st

from lit_seq.report.configurations import group
from lit_seq.report.curves import align, panel
from lit_seq.report.figures.figure import label
from lit_seq.report.read import read_runs


def series(steps, values):
    return pd.Series([float(v) for v in values], index=list(steps))


def drawn(folder, trials, metric="val/loss"):
    """Return the panel of a sweep of one configuration; `trials` are (state, {step: value})."""
    write_sweep(folder, {})
    for number, (state, values) in enumerate(trials):
        rows = [{"step": step, "epoch": 0, metric: value} for step, value in values.items()]
        write_trial(folder / "trials" / f"{number:04d}", {"seed_everything": number}, rows, state=state)
    runs = read_runs(folder)
    counted = {id(run) for run in runs if run.status.state == "finished"}
    return panel(metric, group(runs, []), counted)


def test_common_steps_are_those_that_all_have():
    steps, values, interpolated = align([series([1, 2, 3, 4], [1, 2, 3, 4]), series([2, 4], [20, 40])])
    assert (steps.tolist(), values.tolist(), interpolated) == ([2, 4], [[2, 20], [4, 40]], False)


def test_steps_without_a_match_are_interpolated_and_never_extrapolated():
    steps, values, interpolated = align([series([0, 10, 20], [0, 1, 2]), series([5, 15, 25], [5, 15, 25])])
    assert interpolated
    assert steps.tolist() == [10, 20]
    assert values.tolist() == [[1, 10], [2, 20]]


def test_trials_that_share_no_range_have_no_mean():
    steps, values, _ = align([series([1, 2], [1, 2]), series([5, 6], [1, 2])])
    assert len(steps) == len(values) == 0


@given(st.lists(st.sets(st.integers(0, 60), min_size=1, max_size=30), min_size=1, max_size=5))
def test_every_mean_is_over_all_trials_of_a_straight_line(step_sets):
    # Linear interpolation of a line is the line: whatever the steps, each column must lie on its own.
    lines = [series(sorted(steps), [(k + 1) * s for s in sorted(steps)]) for k, steps in enumerate(step_sets)]
    steps, values, _ = align(lines)
    assert values.shape == (len(steps), len(lines)) or len(steps) == 0
    for k in range(len(lines)):
        np.testing.assert_allclose(values[:, k] if len(steps) else [], (k + 1) * steps)


def test_band_of_few_trials_is_their_range(tmp_path):
    found = drawn(tmp_path, [("finished", {1: 4.0, 2: 2.0}), ("finished", {1: 6.0, 2: 1.0})])
    [curve] = found.curves
    assert found.band == "range"
    assert (curve.mean, curve.low, curve.high) == ([5.0, 1.5], [4.0, 1.0], [6.0, 2.0])


def test_band_of_five_trials_is_the_interval_of_the_mean(tmp_path):
    found = drawn(tmp_path, [("finished", {1: float(v)}) for v in (1, 2, 3, 4, 5)])
    [curve] = found.curves
    half = 2.7764 * np.sqrt(2.5 / 5)
    assert found.band == "interval"
    assert (curve.low[0], curve.high[0]) == pytest.approx((3 - half, 3 + half), rel=1e-4)


def test_single_trial_has_no_band(tmp_path):
    [curve] = drawn(tmp_path, [("finished", {1: 4.0, 2: 2.0})]).curves
    assert (curve.n, curve.low, curve.high) == (1, None, None)


def test_diverged_trial_is_drawn_and_in_no_mean(tmp_path):
    [curve] = drawn(tmp_path, [("finished", {1: 4.0, 2: 2.0}), ("diverged", {1: 100.0})]).curves
    assert (curve.n, curve.mean) == (1, [4.0, 2.0])
    assert [(line.state, line.values) for line in curve.lines] == [
        ("finished", [4.0, 2.0]),
        ("diverged", [100.0]),
    ]


def test_mean_is_cut_where_the_first_trial_ends_and_says_so(tmp_path):
    long = dict.fromkeys(range(1, 11), 1.0)
    short = dict.fromkeys(range(1, 7), 3.0)
    [curve] = drawn(tmp_path, [("finished", long), ("finished", short)]).curves
    assert (curve.steps[-1], curve.cut, curve.mean) == (6, 6, [2.0] * 6)


def test_values_that_are_no_numbers_are_left_out(tmp_path):
    values = {1: 3.0, 2: float("nan"), 3: float("inf"), 4: 1.0}
    [curve] = drawn(tmp_path, [("finished", values)]).curves
    assert (curve.steps, curve.mean) == ([1, 4], [3.0, 1.0])


def test_long_curves_are_averaged_in_bins_that_keep_the_mean(tmp_path):
    values = {step: float(np.sin(step / 50)) for step in range(1, 4001)}
    found = drawn(tmp_path, [("finished", values)])
    [curve] = found.curves
    assert len(curve.steps) == 200
    assert found.bin == 20
    assert np.mean(curve.mean) == pytest.approx(np.mean(list(values.values())))
    np.testing.assert_allclose(curve.mean, np.sin(np.array(curve.steps) / 50), atol=0.01)


def test_seconds_and_tokens_are_in_proportion_to_steps(tmp_path):
    write_sweep(tmp_path, {})
    config = {"data": {"class_path": "Text", "init_args": {"batch_size": 4, "chunk_length": 50}}}
    for number, seconds in enumerate((20.0, 60.0)):
        rows = [{"step": s, "epoch": 0, "val/loss": 1.0} for s in (10, 20)]
        folder = tmp_path / "trials" / str(number)
        write_trial(folder, {"seed_everything": number}, rows, seconds=seconds, config=config)
        status = json.loads((folder / "status.json").read_text())
        (folder / "status.json").write_text(json.dumps(status | {"pack": 2}))
    runs = read_runs(tmp_path)
    [curve] = panel("val/loss", group(runs, []), {id(run) for run in runs}).curves
    # Two trials a pack: 20 s and 60 s of it are 10 s and 30 s of each, over 20 steps.
    assert [line.pace for line in curve.lines] == [
        {"seconds": 0.5, "tokens": 200.0},
        {"seconds": 1.5, "tokens": 200.0},
    ]
    assert curve.pace == {"seconds": 1.0, "tokens": 200.0}


def test_metric_that_nobody_logged_has_no_panel(tmp_path):
    write_sweep(tmp_path, {})
    write_trial(tmp_path / "trials" / "0", {}, [])
    assert panel("val/loss", group(read_runs(tmp_path), []), set()) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GRU, lr 0.1", "GRU, lr 0.1"),
        ("Elman, relu, input 1, scale 0.9", "Elman, relu,<br>input 1, scale 0.9"),
        ("a configuration without commas", "a configu…t commas"),
        ("of a configuration, in two parts", "of a conf…uration,<br>in two parts"),
        ("", ""),
    ],
)
def test_labels_keep_what_tells_them_apart(text: str, shown: str) -> None:
    assert label(text, 18, lines=2) == shown
