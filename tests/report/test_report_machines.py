"""Folders of one sweep that several machines worked on."""

import json
from pathlib import Path

import pytest

from lit_seq.report.document import build
from lit_seq.report.plan import Plan
from lit_seq.run_folder import Status


@pytest.fixture
def machines(tmp_path: Path) -> list[Path]:
    """Two machines' folders; trial 1 was handed on from the first one, which was killed, to the second."""
    folders = []
    for machine, trials in {"a": {0: "finished", 1: "running"}, "b": {1: "finished", 2: "finished"}}.items():
        folder = tmp_path / machine / "sweep"
        folder.mkdir(parents=True)
        (folder / "sweep.yaml").write_text(
            "method: grid\nmetric: {name: val/loss}\nparameters: {lr: {values: [1, 2, 3]}}\n"
        )
        (folder / "environment.json").write_text(json.dumps({"study": "abc"}))
        for number, state in trials.items():
            trial = folder / "trials" / f"{number:04d}"
            status = Status(state, wandb_run_id=f"id{number}", overrides={"lr": number + 1}, step=5)
            status.write(trial)
            (trial / "config.yaml").write_text(f"lr: {number + 1}\n")
            (trial / "metrics.csv").write_text(f"step,epoch,val/loss\n5,0,{number}.5\n")
        folders.append(folder)
    return folders


def plan(folders: list[Path]) -> Plan:
    return Plan(runs=[str(folder) for folder in folders])


def test_they_are_one_sweep_and_each_trial_counts_once(machines):
    document = build(plan(machines))
    assert document.states == {"finished": 3}
    assert document.missing == 0


def test_folders_of_other_sweeps_stay_apart(machines):
    (machines[1] / "environment.json").write_text(json.dumps({"study": "other"}))
    document = build(plan(machines))
    assert document.states == {"finished": 3, "running": 1}
