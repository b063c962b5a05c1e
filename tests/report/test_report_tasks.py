"""Runs that learn different things are never put into one mean or one ranking."""

import numpy as np
import pytest
from fake_sweep import write_sweep, write_trial

from lit_seq.report import write_report
from lit_seq.report.document import build
from lit_seq.report.plan import Plan

TASKS = {"AddingProblem": {"GRU": 0.01, "LSTM": 0.05}, "CopyingMemory": {"GRU": 2.0, "LSTM": 1.0}}


def sweep_of(folder, task, floors, seeds=5):
    write_sweep(
        folder, {"model.cell": list(floors), "seed_everything": range(seeds)}, ("val/loss", "minimize")
    )
    for cell, floor in floors.items():
        for seed in range(seeds):
            value = floor * (1 + 0.01 * seed)
            rows = [{"step": s, "epoch": 0, "val/loss": value + worse} for s, worse in ((10, 1.0), (20, 0.0))]
            config = {
                "model": {"cell": cell},
                "data": {"class_path": f"lit_seq.data.{task}", "init_args": {"batch_size": 20}},
            }
            overrides = {"model.cell": cell, "seed_everything": seed}
            write_trial(folder / "trials" / f"{cell}{seed}", overrides, rows, config=config)
    return folder


@pytest.fixture
def both(tmp_path):
    for task, floors in TASKS.items():
        sweep_of(tmp_path / task, task, floors)
    return tmp_path


def test_each_task_is_ranked_by_itself(both):
    document = build(Plan(runs=[f"{both}/*"]))
    assert document.tasks == ["AddingProblem", "CopyingMemory"]
    assert (document.compare_by, document.together) == (["model.cell"], [])
    told = [(row.task, row.label, round(row.mean, 4), row.counted) for row in document.rows]
    assert told == [
        ("AddingProblem", "GRU", 0.0102, 5),
        ("AddingProblem", "LSTM", 0.051, 5),
        ("CopyingMemory", "LSTM", 1.02, 5),
        ("CopyingMemory", "GRU", 2.04, 5),
    ]
    assert [row.difference is None for row in document.rows] == [True, False, True, False]
    assert document.answer.startswith("AddingProblem: GRU is best: validation loss 0.01020")
    assert document.answer.splitlines()[1].startswith("CopyingMemory: LSTM is best")
    assert [(panel.task, len(panel.curves)) for panel in document.panels] == [(task, 2) for task in TASKS]


def test_profile_over_tasks_is_normalised_within_each(both):
    document = build(Plan(runs=[f"{both}/*"]))
    by_label = {one.label: one for one in document.profiles}
    for one in by_label.values():
        assert (one.levels[0], one.levels[-1], one.share[0]) == (0.0, 1.0, 1.0)
    # Each is the best of one task and the worst of the other: in between half of the trials are left.
    halfway = int(np.searchsorted(by_label["GRU"].levels, 0.5))
    assert by_label["GRU"].share[halfway] == by_label["LSTM"].share[halfway] == 0.5


def test_page_and_markdown_name_the_tasks(both):
    (both / "r.yaml").write_text(f"runs: ['{both}/*']\n")
    text = write_report(both / "r.yaml", format="md").read_text()
    assert "| Configuration | Task |" in text
    assert "all tasks" in text
    page = write_report(both / "r.yaml").read_text()
    assert "Tasks, each judged by itself" in page
    assert page.count("<h3>CopyingMemory</h3>") >= 2


def test_size_of_the_task_is_a_task_unless_it_is_compared(tmp_path):
    write_sweep(tmp_path / "s", {"data.length": [10, 20], "cell": ["A", "B"]}, ("val/loss", "minimize"))
    for length in (10, 20):
        for cell in "AB":
            rows = [{"step": 1, "epoch": 0, "val/loss": length + (cell == "A")}]
            config = {"data": {"init_args": {"length": length}}}
            write_trial(
                tmp_path / "s" / "trials" / f"{cell}{length}",
                {"data.length": length, "cell": cell},
                rows,
                config=config,
            )
    document = build(Plan(runs=[str(tmp_path / "s")]))
    assert (document.tasks, document.compare_by) == (["length 10", "length 20"], ["cell"])
    assert [(row.task, row.label) for row in document.rows] == [
        ("length 10", "B"),
        ("length 10", "A"),
        ("length 20", "B"),
        ("length 20", "A"),
    ]
    compared = build(Plan(runs=[str(tmp_path / "s")], compare_by=["data.length", "cell"]))
    assert (compared.tasks, len(compared.rows)) == ([None], 4)


def test_batch_size_is_a_setting_and_no_task(tmp_path):
    write_sweep(tmp_path / "s", {"data.batch_size": [10, 20]}, ("val/loss", "minimize"))
    for size in (10, 20):
        rows = [{"step": 1, "epoch": 0, "val/loss": size}]
        write_trial(tmp_path / "s" / "trials" / f"{size}", {"data.batch_size": size}, rows)
    document = build(Plan(runs=[str(tmp_path / "s")]))
    assert (document.tasks, document.compare_by) == ([None], ["data.batch_size"])


def test_profile_of_one_task_is_the_share_of_trials_at_least_so_good(tmp_path):
    folder = sweep_of(tmp_path / "s", "AddingProblem", {"GRU": 1.0, "LSTM": 2.0})
    rows = [{"step": 10, "epoch": 0, "val/loss": float("nan")}]
    write_trial(
        folder / "trials" / "lost", {"model.cell": "GRU", "seed_everything": 9}, rows, state="diverged"
    )
    [gru, lstm] = build(Plan(runs=[str(folder)])).profiles
    assert (gru.label, gru.trials, lstm.trials) == ("GRU", 6, 5)
    shares = dict(zip(np.round(gru.levels, 3), gru.share, strict=True))
    assert shares[1.0] == pytest.approx(1 / 6)
    assert shares[1.04] == shares[2.08] == pytest.approx(5 / 6)
    assert min(gru.low) <= 1 / 6 <= max(gru.high)
