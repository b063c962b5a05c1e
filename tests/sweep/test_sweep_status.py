"""How far a sweep is, as another terminal sees it."""

import fcntl
import json
import threading
import time
from pathlib import Path

import pytest
import yaml

from lit_seq.cli import main
from lit_seq.run_folder import Status
from lit_seq.sweep.status_command import worked_on


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "cells"
    folder.mkdir(parents=True)
    content = {
        "method": "grid",
        "metric": {"name": "val/loss"},
        "command": ["lit-seq", "fit", "${args}"],
        "parameters": {"model.core.cell": {"values": ["LSTM", "GRU", "Elman", "Leaky"]}},
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(content))
    states = {
        "LSTM": Status("finished", step=100, max_steps=100, seconds=40.0),
        "GRU": Status("running", step=25, max_steps=100, seconds=10.0),
        "Elman": Status("diverged", "val/loss is nan at step 9", step=9, max_steps=100, seconds=4.0),
        "Leaky": Status(),
    }
    for number, (cell, status) in enumerate(states.items()):
        trial = folder / "trials" / f"{number:04d}"
        trial.mkdir(parents=True)
        status.overrides = {"model.core.cell": cell}
        status.write(trial)
        if status.step:
            (trial / "metrics.csv").write_text(
                f"step,epoch,val/loss\n9,0,{number + 0.5}\n19,0,{number + 1}\n"
            )
    return folder


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_sweep_is_told_trial_by_trial(sweep, capsys):
    assert main(["status", str(sweep)]) == 0
    told = lines(capsys)
    # A long folder's name is broken where the terminal ends.
    told = told[1 + next(place for place, line in enumerate(told) if line.startswith("trial state")) :]
    assert told[:4] == [
        "0000 LSTM finished 100/100 0.5000 2.5",
        "0001 GRU running 25/100 1.500 2.5 30.0 s",
        "0002 Elman diverged 9/100 2.500 2.25",
        "0003 Leaky queued",
    ]
    assert " ".join(told[4:]) == (
        "4 trials: 1 running, 1 finished, 1 diverged, 1 waiting, 70.0 s left, nobody works on it;"
        " lit-seq sweep FILE --resume goes on"
    )


def test_all_sweeps_of_a_folder_are_told(sweep, capsys):
    (sweep.parent / "other").mkdir()
    (sweep.parent / "other" / "sweep.yaml").write_text((sweep / "sweep.yaml").read_text())
    (sweep.parent / "other" / "trials").mkdir()
    (sweep.parent / "single-run").mkdir()
    assert main(["status", str(sweep.parent)]) == 0
    told = "".join(lines(capsys))
    assert "cells" in told
    assert "other" in told
    assert "single-run" not in told


def test_watching_ends_with_the_work(sweep, capsys):
    with (sweep / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert worked_on(sweep)
        watched = threading.Thread(target=main, args=[["status", str(sweep), "--watch"]])
        watched.start()
        time.sleep(0.5)
        assert watched.is_alive()
        status = Status("finished", step=100, max_steps=100, seconds=40.0)
        status.overrides = {"model.core.cell": "GRU"}
        status.write(sweep / "trials" / "0001")
    watched.join(10)
    assert not watched.is_alive()
    assert not worked_on(sweep)
    assert "2 finished" in capsys.readouterr().out


def test_a_lost_status_is_left_out(sweep, capsys):
    (sweep / "trials" / "0002" / "status.json").write_text("{")
    (sweep / "trials" / "0003" / "status.json").write_text(json.dumps({"state": "lost"}))
    assert main(["status", str(sweep)]) == 0
    assert "2 trials: 1 running, 1 finished" in " ".join(lines(capsys))


@pytest.mark.parametrize("name", ["runs/none", "runs/cells/trials"])
def test_what_is_no_sweep_is_refused(sweep, name, capsys):
    assert main(["status", str(sweep.parent.parent / name)]) == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith("lit-seq: ")
    assert name in sentence
