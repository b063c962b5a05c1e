"""A sweep's folder: laid down whole or not at all, and worked on by one process at a time.

RUNS_DIR/NAME/
    sweep.yaml         the file as launched
    environment.json   see `describe_environment`
    study.db           see `Study`
    rungs.jsonl        see `lit_seq.training.rungs`, where the sweep has early_terminate
    lock               held while the sweep runs, by the driver and by its workers
    trials/0007/       run folders, with args.json and log.txt besides
"""

import fcntl
import json
import os
import secrets
import shutil
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from lit_seq.errors import UserError
from lit_seq.run_folder import Status, replacing
from lit_seq.sweep.environment import describe_environment
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.search import Search, dotted
from lit_seq.sweep.study import Study, sqlite_url
from lit_seq.sweep.yaml_text import load_yaml

_PATIENCE = 90.0


def create(folder: Path, search: Search, storage: str | None, seed: int) -> None:
    """Lay down a new sweep.

    It is made under another name and renamed at the end: a full disk or Ctrl-C leaves nothing behind.

    Args:
        folder: RUNS_DIR/NAME.
        search: the sweep's trials.
        storage: Optuna's storage URL; None for study.db in the folder.
        seed: of method random and bayes.

    Raises:
        UserError: the folder or the storage cannot be made.
    """
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
        made.mkdir()
        try:
            (made / "sweep.yaml").write_text(search.file.source, encoding="utf-8")
            (made / "environment.json").write_text(
                json.dumps(describe_environment(), indent=1), encoding="utf-8"
            )
            (made / "trials").mkdir()
            for number, point in enumerate(search.points(seed)):
                lay_down_trial(trial_folder(made, number), search.values(point))
            Study.create(storage or sqlite_url(made), folder.name, search, seed)
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


def lay_down_trial(folder: Path, values: dict[str, Any]) -> Status:
    """Make the folder of a trial that has not begun, and give it its W&B run id."""
    folder.mkdir(exist_ok=True)
    run_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
    status = Status(wandb_run_id=run_id, overrides=dotted(values))
    (folder / "args.json").write_text(json.dumps(values), encoding="utf-8")
    status.write(folder)
    return status


def trial_folder(sweep: Path, number: int) -> Path:
    """Return the folder of a trial."""
    return sweep / "trials" / f"{number:04d}"


def check_same(folder: Path, file: SweepFile, resume: bool) -> None:
    """Check that a folder may be worked on.

    Raises:
        UserError: it holds a sweep and `resume` is not asked for, or it holds another sweep or none.
    """
    try:
        source = (folder / "sweep.yaml").read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{folder} exists, but holds no sweep; give another --name or --runs_dir.") from None
    if load_yaml(source, str(folder / "sweep.yaml"))[0] != file.content:
        raise UserError(f"{folder} holds another sweep than {file.path}; give another --name or --runs_dir.")
    if not resume:
        raise UserError(f"{folder} holds this sweep already; give --resume to finish it, or another --name.")


def note_resumption(folder: Path) -> None:
    """Add this process to environment.json."""
    path = folder / "environment.json"
    with disk_errors(folder):
        environment = json.loads(path.read_text(encoding="utf-8"))
        environment.setdefault("resumed", []).append(describe_environment())
        with replacing(path) as file:
            json.dump(environment, file, indent=1)


def requeue(folder: Path, status: Status | None) -> None:
    """Make a trial's folder ready for another attempt, as the same W&B run.

    One with a checkpoint is left as it is; from one without, what the attempt before wrote is removed.

    Args:
        folder: the trial's.
        status: its status; None where that is lost, and the trial is laid down anew when it starts.
    """
    if not (folder / "checkpoints" / "last.ckpt").exists():
        for name in ("config.yaml", "metrics.csv", "samples.jsonl"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        status = status and Status(wandb_run_id=status.wandb_run_id, overrides=status.overrides)
    if status is None:
        (folder / "status.json").unlink(missing_ok=True)
    else:
        replace(status, state="queued", reason=None).write(folder)


@contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold a sweep's lock. The kernel lets go of it when all processes that have the file open are gone.

    Yields:
        The lock's file, which workers inherit: so a driver that follows a killed one waits for its workers.

    Raises:
        UserError: another driver is at work.
    """
    with disk_errors(folder):
        file = (folder / "lock").open("a+", encoding="utf-8")
    with file:
        _wait_for_lock(file, folder)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file


def _wait_for_lock(file: IO[str], folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            file.seek(0)
            driver = file.read().strip()
        if _alive(driver) or time.monotonic() > deadline:
            raise UserError(f"{folder} is being worked on by another lit-seq sweep (process {driver}).")
        time.sleep(0.2)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say in one sentence that the disk is full or a folder cannot be written.

    Raises:
        UserError: an operation on a file failed.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
