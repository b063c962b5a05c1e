import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from fake_sweep import FLOOR, quickstart, simple_sweep, write_sweep, write_trial
from scipy import stats

from lit_seq.errors import UserError
from lit_seq.report.document import build
from lit_seq.report.plan import Plan


def report(folder, **keys):
    return build(Plan(runs=[str(folder)], **keys))


def best_values(sweep: Path, metric: str) -> dict[str, dict[int, float]]:
    """Read the best values straight from the CSV files, with nothing of the code under test."""
    values: dict[str, dict[int, float]] = {}
    for folder in sorted((sweep / "trials").iterdir()):
        overrides = json.loads((folder / "status.json").read_text())["overrides"]
        with (folder / "metrics.csv").open() as file:
            cells = [row[metric] for row in csv.DictReader(file) if row[metric]]
        values.setdefault(overrides["model.core.cell"], {})[overrides["seed_everything"]] = min(
            map(float, cells)
        )
    return values


def test_table_can_be_recomputed_from_the_csv_files(tmp_path):
    sweep = quickstart(tmp_path / "quick", seeds=4)
    document = report(sweep)
    values = best_values(sweep, "val/bits_per_character")
    assert [row.label for row in document.rows] == sorted(FLOOR, key=FLOOR.__getitem__)
    leader = np.array([values["GRU"][seed] for seed in (1, 2, 3, 4)])
    for row in document.rows:
        own = np.array([values[row.label][seed] for seed in (1, 2, 3, 4)])
        assert (row.counted, row.trials, row.seeds) == (4, 4, [1, 2, 3, 4])
        assert row.mean == pytest.approx(own.mean())
        assert row.best == own.min()
        expected = stats.t.interval(0.95, 3, loc=own.mean(), scale=stats.sem(own))
        assert row.interval == pytest.approx(expected)
        if row.label != "GRU":
            paired = stats.ttest_rel(own, leader).confidence_interval(0.95)
            assert row.difference.interval == pytest.approx((paired.low, paired.high))
    [seconds] = {row.seconds for row in document.rows if row.label == "Elman"}
    assert seconds == pytest.approx(np.mean([18.1, 18.2, 18.3, 18.4]))
    assert document.rows[-1].steps_per_second == pytest.approx(
        np.mean([500 / s for s in (18.1, 18.2, 18.3, 18.4)])
    )


def test_best_over_training_counts_and_the_end_is_shown(tmp_path):
    document = report(simple_sweep(tmp_path / "s", {"A": {1: 2.0, 2: 3.0}}))
    [row] = document.rows
    assert (row.mean, row.final) == (2.5, 2.75)
    assert [trial.score.best_step for trial in document.trials] == [200, 200]


def test_goal_maximize(tmp_path):
    metric = ("val/accuracy", "maximize")
    document = report(simple_sweep(tmp_path / "s", {"A": {1: 0.5}, "B": {1: 0.9}}, metric))
    assert [(row.label, row.mean) for row in document.rows] == [("B", 0.9), ("A", 0.5)]


def test_diverged_failed_and_stopped_trials_are_in_no_mean_and_not_hidden(tmp_path):
    fate = {2: ("diverged", "train/loss is nan"), 3: ("failed", "out of memory"), 4: ("stopped", "hyperband")}
    sweep = simple_sweep(
        tmp_path / "s",
        {"A": {1: 2.0, 2: 0.1, 3: 0.1, 4: 0.1}},
        state=lambda cell, seed: fate.get(seed, ("finished", None)),
    )
    document = report(sweep)
    [row] = document.rows
    assert (row.mean, row.counted, row.trials) == (2.0, 1, 4)
    assert row.states == {"finished": 1, "diverged": 1, "failed": 1, "stopped": 1}
    assert [t.reason for t in document.trials if not t.counts] == [
        "train/loss is nan",
        "out of memory",
        "hyperband",
    ]
    assert "s counts 1 of 4 trials (1 diverged, 1 failed and 1 stopped)" in document.answer


def test_zero_finished_trials(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 2.0}, "B": {1: 1.0}}, state=lambda *_: ("running", None))
    document = report(sweep)
    assert document.answer.startswith("No trial has finished")
    assert document.answer.endswith("The best so far: validation loss 1.000 (B).")
    assert [(row.label, row.mean, row.so_far) for row in document.rows] == [
        ("B", None, 1.0),
        ("A", None, 2.0),
    ]


def test_sweep_in_which_nothing_was_logged_yet(tmp_path):
    write_sweep(tmp_path / "s", {"model.core.cell": ["A"], "seed_everything": [1, 2]})
    write_trial(
        tmp_path / "s" / "trials" / "0000", {"model.core.cell": "A", "seed_everything": 1}, [], state="queued"
    )
    (tmp_path / "s" / "trials" / "0000" / "metrics.csv").unlink()
    document = report(tmp_path / "s")
    assert (document.panels, document.missing) == ([], 1)
    assert document.answer == "No trial has finished, so there is nothing to compare yet."


@pytest.mark.parametrize(
    ("others", "missing"),
    [({}, 3), ({"run_cap": 4}, 1), ({"method": "random"}, 0), ({"method": "random", "run_cap": 5}, 2)],
)
def test_trials_that_a_sweep_asks_for_and_that_have_no_folder(tmp_path, others, missing):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0, 2: 1.0, 3: 1.0}})
    content = yaml.safe_load((sweep / "sweep.yaml").read_text())
    content["parameters"] = {
        "model": {"parameters": {"cell": {"values": ["A", "B"]}}},
        "seed": {"values": [1, 2, 3]},
    }
    (sweep / "sweep.yaml").write_text(yaml.safe_dump(content | others))
    assert report(sweep).missing == missing


def test_metric_that_no_trial_has_is_told_with_those_there_are(tmp_path):
    sweep = quickstart(tmp_path / "s", seeds=1)
    with pytest.raises(UserError, match=r"no-such.*train/grad_norm, train/loss, val/accuracy.* and val/loss"):
        report(sweep, metric="no-such")


def test_metric_that_some_trials_lack(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0, 2: 2.0}})
    (sweep / "trials" / "0001" / "metrics.csv").write_text("step,epoch,train/loss\n1,0,1\n")
    document = report(sweep)
    assert (document.rows[0].counted, document.rows[0].trials) == (1, 2)
    assert "1 finished without logging it" in document.answer
    assert "never logged a number as val/loss" in document.trials[1].reason


def test_nan_in_a_finished_trial_is_left_out_and_noted(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0}})
    with (sweep / "trials" / "0000" / "metrics.csv").open("a") as file:
        file.write("400,0,nan\n500,0,-inf\n")
    document = report(sweep)
    assert document.rows[0].mean == 1.0
    assert document.trials[0].score.final == -np.inf
    assert any("2 values of val/loss" in note for note in document.notes)


def test_a_seed_that_was_run_twice_counts_once(tmp_path):
    for name in ("s", "t"):
        simple_sweep(tmp_path / name, {"A": {1: 1.0 if name == "s" else 3.0, 2: 2.0}})
    document = build(Plan(runs=[str(tmp_path / "s"), str(tmp_path / "t")]))
    [row] = document.rows
    assert (row.counted, row.seeds, row.mean) == (2, [1, 2], 2.5)
    assert "s and t: seed 1 was run 2 times; one of them counts." in document.notes
    assert [trial.name for trial in document.trials][:2] == ["s/0000", "s/0001"]


def test_same_folder_named_twice_counts_once(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0}})
    assert len(build(Plan(runs=[str(sweep), f"{tmp_path}/./s"])).trials) == 1


def rates(tmp_path):
    write_sweep(tmp_path / "s", {"cell": ["A", "B"], "lr": [0.1, 0.2, 0.3], "seed_everything": [1, 2]})
    values = {
        ("A", 0.1): 3.0,
        ("A", 0.2): 1.0,
        ("A", 0.3): 2.0,
        ("B", 0.1): 4.0,
        ("B", 0.2): 6.0,
        ("B", 0.3): 5.0,
    }
    for number, ((cell, rate), value) in enumerate(values.items()):
        for seed in (1, 2):
            rows = [{"step": 1, "epoch": 0, "val/bits_per_character": value + seed / 100}]
            overrides = {"cell": cell, "lr": rate, "seed_everything": seed}
            write_trial(tmp_path / "s" / "trials" / f"{number}-{seed}", overrides, rows)
    return tmp_path / "s"


def test_comparison_is_at_each_sides_best_other_settings(tmp_path):
    document = report(rates(tmp_path), compare_by=["cell"])
    told = [(row.label, row.settings, row.tried, row.mean) for row in document.rows]
    assert told == [("A", "lr 0.2", 3, pytest.approx(1.015)), ("B", "lr 0.1", 3, pytest.approx(4.015))]
    assert [curve.label for curve in document.panels[0].curves] == ["A", "B"]
    assert "A (at lr 0.2, best of 3)" in document.answer


def test_key_to_compare_by_that_no_trial_sets(tmp_path):
    with pytest.raises(UserError, match=r"no trial sets 'size'; what varies is cell and lr"):
        report(rates(tmp_path), compare_by=["size"])


def test_sweeps_judged_by_different_metrics_need_a_decision(tmp_path):
    simple_sweep(tmp_path / "s", {"A": {1: 1.0}}, ("val/loss", "minimize"))
    simple_sweep(tmp_path / "t", {"A": {1: 1.0}}, ("val/accuracy", "maximize"))
    with pytest.raises(UserError, match="val/accuracy and val/loss"):
        report(tmp_path)
    assert report(tmp_path, metric="val/accuracy").judge.goal == "maximize"


def test_training_curve_beside_the_metrics(tmp_path):
    document = report(quickstart(tmp_path / "s", seeds=1))
    assert [panel.metric for panel in document.panels] == ["val/bits_per_character", "train/loss"]


def test_folder_of_single_runs_and_a_single_run(tmp_path):
    for name, value in (("first", 2.0), ("second", 1.0)):
        rows = [{"step": 1, "epoch": 0, "val/loss": value, "train/loss": value}]
        write_trial(tmp_path / name, {}, rows, config={"hidden_size": 10 * value, "seed_everything": 1})
    document = report(tmp_path)
    assert (document.metric, document.judge.goal) == ("val/loss", "minimize")
    assert [(row.label, row.mean) for row in document.rows] == [
        ("hidden_size 10", 1.0),
        ("hidden_size 20", 2.0),
    ]
    assert any("no environment.json" in note for note in document.notes)
    alone = report(tmp_path / "first")
    assert alone.title == "first"
    assert alone.answer.startswith("first reaches validation loss 2.000 (one seed, so no interval).")


def test_samples_are_of_the_best_finished_trial(tmp_path):
    sweep = quickstart(tmp_path / "s")
    document = report(sweep)
    values = best_values(sweep, "val/bits_per_character")
    for said in document.said:
        assert said.seed == min(values[said.label], key=values[said.label].__getitem__)
        assert [moment.name for moment in said.moments] == ["start", "middle", "end"]


def test_trial_whose_status_is_lost_belongs_to_no_configuration(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1.0, 2: 2.0}})
    (sweep / "trials" / "0001" / "status.json").write_text("{")
    document = report(sweep)
    assert [(row.label, row.trials) for row in document.rows] == [("s", 1)]
    assert (document.trials[1].label, document.trials[1].state) == ("unknown", "failed")
