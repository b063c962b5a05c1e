"""A sweep's folder appears whole or not at all, and workers are bound to their devices."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lit_seq.cli import main
from lit_seq.run_folder import Status
from lit_seq.sweep import folder as folders
from lit_seq.sweep.environment import cores
from lit_seq.sweep.file import read_sweep_file
from lit_seq.sweep.pool import device_variables
from lit_seq.sweep.search import Search
from lit_seq.sweep.study import Study, Terms

TERMS = Terms(seed=0, lease=180.0, salt="salt")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    content = {
        "method": "grid",
        "command": ["lit-seq", "fit", "--model", "ManyToOne", "--data", "AddingProblem", "${args}"],
        "parameters": {"seed_everything": {"values": [1, 2, 3]}},
    }
    Path("s.yaml").write_text(yaml.safe_dump(content))
    return "s.yaml"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/s"), 2),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "runs/s"), 2),
        (KeyboardInterrupt(), 130),
    ],
    ids=["disk full", "read-only", "Ctrl-C"],
)
@pytest.mark.parametrize("when", ["in the second trial's folder", "in the study"])
def test_nothing_half_written_is_left(
    file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    error: BaseException,
    code: int,
    when: str,
) -> None:
    written: list[Any] = []

    def fail(status: Status, folder: Path) -> None:
        written.append(folder)
        if len(written) == 2 or when == "in the study":
            raise error

    if when == "in the study":
        monkeypatch.setattr(Study, "create", lambda *_: fail(Status(), Path()))
    else:
        monkeypatch.setattr(Status, "write", fail)
    assert main(["sweep", file]) == code
    assert written
    assert list(Path("runs").iterdir()) == []
    if code == 2:
        assert os.strerror(error.errno) in capsys.readouterr().err  # type: ignore[attr-defined]


def test_two_drivers_that_start_at_once_do_not_mix(file: str) -> None:
    search = Search(read_sweep_file(Path(file)))
    folders.create(Path("runs/s"), search, None, TERMS)
    before = sorted(path.read_bytes() for path in Path("runs").rglob("*") if path.is_file())
    with pytest.raises(Exception, match="cannot be written"):
        folders.create(Path("runs/s"), search, None, TERMS)
    assert sorted(path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()) == before
    assert [path.name for path in Path("runs").iterdir()] == ["s"]


def test_what_is_laid_down_is_what_was_asked_for(file: str) -> None:
    folders.create(Path("runs/s"), Search(read_sweep_file(Path(file))), None, TERMS)
    trials = sorted(Path("runs/s/trials").iterdir())
    assert [trial.name for trial in trials] == ["0000", "0001", "0002"]
    for number, trial in enumerate(trials):
        status = Status.read(trial)
        assert (status.state, status.overrides) == ("queued", {"seed_everything": number + 1})
        assert json.loads((trial / "args.json").read_text()) == {"seed_everything": number + 1}
    assert len({Status.read(trial).wandb_run_id for trial in trials}) == 3
    assert (Path("runs/s").stat().st_mode & 0o777) == (Path("runs").stat().st_mode & 0o777)


@pytest.mark.parametrize("checkpoint", ["last.ckpt", "previous.ckpt", "best.ckpt", None])
def test_another_attempt_is_the_same_wandb_run(tmp_path: Path, checkpoint: str | None) -> None:
    trial = tmp_path / "0000"
    (trial / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "metrics.csv", "log.txt"):
        (trial / name).touch()
    if checkpoint:
        (trial / "checkpoints" / checkpoint).touch()
    failed = Status(state="failed", reason="r", wandb_run_id="id", overrides={"a": 1}, step=7, seconds=3.0)
    folders.requeue(trial, failed)
    status = Status.read(trial)
    assert (status.state, status.reason, status.wandb_run_id, status.overrides) == (
        "queued",
        None,
        "id",
        {"a": 1},
    )
    assert (status.step, status.seconds) == ((7, 3.0) if checkpoint else (0, 0.0))
    for name in ("config.yaml", "metrics.csv", "checkpoints"):
        assert (trial / name).exists() == bool(checkpoint)
    assert (trial / "log.txt").exists()


@pytest.mark.parametrize(
    ("visible", "gpus", "workers", "expected"),
    [
        (None, 2, None, ["0", "1"]),
        ("4,6", 2, None, ["4", "6"]),
        ("4,6", 2, 3, ["4", "6", "4"]),
        ("GPU-aa,MIG-bb", 2, 1, ["GPU-aa"]),
        ("0,99", 1, None, ["0"]),
    ],
)
def test_each_worker_has_its_gpu(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, gpus: int, workers: int | None, expected: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [found["CUDA_VISIBLE_DEVICES"] for found in device_variables(workers)] == expected


@pytest.mark.parametrize("visible", [None, "", "-1"])
def test_workers_without_a_gpu_share_the_cores(monkeypatch: pytest.MonkeyPatch, visible: str | None) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device_variables(None) == [{"OMP_NUM_THREADS": str(cores())}]
    assert device_variables(2 * cores()) == [{"OMP_NUM_THREADS": "1"}] * 2 * cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert device_variables(1) == [{"OMP_NUM_THREADS": "3"}]
