"""A sweep's folder: laid down whole or not at all.

One driver at a time works on a sweep whose state lies there; drivers with a storage in common may share it.

RUNS_DIR/NAME/
    sweep.yaml         the file as launched
    environment.json   see `describe_environment`
    study.db           see `Study`
    rungs.jsonl        see `lit_seq.training.rungs`, where the sweep has early_terminate
    lock               held while the sweep runs, by its drivers and by their workers
    trials/0007/       run folders, with args.json and log.txt besides
"""

import errno
import fcntl
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from lit_seq.checkpoint_file import RESUMABLE
from lit_seq.errors import UserError
from lit_seq.run_folder import Status, replacing
from lit_seq.sweep.environment import describe_environment
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.search import Search, dotted
from lit_seq.sweep.storage import is_shared, sqlite_url
from lit_seq.sweep.study import Study, Terms
from lit_seq.sweep.yaml_text import load_yaml

_PATIENCE = 90.0


def create(folder: Path, search: Search, storage: str | None, terms: Terms) -> bool:
    """Lay down a new sweep, or this machine's folder of one that others work on already.

    It is made under another name and renamed at the end: a full disk or Ctrl-C leaves nothing behind. Where
    machines share the work, a trial's folder is made by the machine that runs it.

    Args:
        folder: RUNS_DIR/NAME.
        search: the sweep's trials.
        storage: Optuna's storage URL; None for study.db in the folder.
        terms: of a new study.

    Returns:
        Whether it was made: False if another machine was faster.

    Raises:
        UserError: the folder or the storage cannot be made, or the storage holds another such sweep.
    """
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
        made.mkdir()
        try:
            url = storage or sqlite_url(made)
            (made / "trials").mkdir()
            if not is_shared(url):
                for number, point in enumerate(search.points(terms.seed)):
                    path = trial_folder(made, number)
                    lay_down_trial(path, search.values(point), terms.wandb_id(number))
            if not Study.create(url, folder.name, search, terms):
                terms = Study(url, folder.name, search).terms
            environment = {**describe_environment(), "study": terms.salt}
            (made / "sweep.yaml").write_text(search.file.source, encoding="utf-8")
            (made / "environment.json").write_text(json.dumps(environment, indent=1), encoding="utf-8")
            return _rename(made, folder, is_shared(url))
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


def _rename(made: Path, folder: Path, shared: bool) -> bool:
    try:
        made.rename(folder)
    except OSError as error:
        if not shared or error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        shutil.rmtree(made)
        return False
    return True


def lay_down_trial(folder: Path, values: dict[str, Any], wandb_id: str) -> Status:
    """Make the folder of a trial that has not begun."""
    folder.mkdir(exist_ok=True)
    status = Status(wandb_run_id=wandb_id, overrides=dotted(values))
    (folder / "args.json").write_text(json.dumps(values), encoding="utf-8")
    status.write(folder)
    return status


def prepare_trial(folder: Path, values: dict[str, Any], wandb_id: str) -> Status:
    """Make a trial's folder ready for an attempt, and return the status there, which may be that of an end.

    Args:
        folder: the trial's.
        values: the trial's.
        wandb_id: id of its W&B run.
    """
    try:
        status = Status.read(folder)
    except UserError:
        if folder.exists():
            requeue(folder, None)
        return lay_down_trial(folder, values, wandb_id)
    if status.state in ("running", "failed"):
        requeue(folder, status)
        return Status.read(folder)
    return status


def trial_folder(sweep: Path, number: int) -> Path:
    """Return the folder of a trial."""
    return sweep / "trials" / f"{number:04d}"


def check_same(folder: Path, file: SweepFile, resume: bool, storage: str | None) -> None:
    """Check that a folder may be worked on.

    Raises:
        UserError: it holds another sweep or none, or this sweep with its state elsewhere, or this sweep,
            and neither is `resume` asked for nor the storage shared.
    """
    try:
        source = (folder / "sweep.yaml").read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{folder} exists, but holds no sweep; give another --name or --runs_dir.") from None
    if load_yaml(source, str(folder / "sweep.yaml"))[0] != file.content:
        raise UserError(f"{folder} holds another sweep than {file.path}; give another --name or --runs_dir.")
    if not resume and not (storage and is_shared(storage)):
        raise UserError(f"{folder} holds this sweep already; give --resume to finish it, or another --name.")
    if storage is None and not (folder / "study.db").exists():
        raise UserError(f"{folder} has no study.db; give the --storage that the sweep was started with.")


def note_driver(folder: Path) -> None:
    """Add this process to environment.json."""
    path = folder / "environment.json"
    with disk_errors(folder), (folder / "sweep.yaml").open("r+", encoding="utf-8") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
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
    if not any((folder / "checkpoints" / name).exists() for name in RESUMABLE):
        for name in ("config.yaml", "metrics.csv", "samples.jsonl"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        status = status and Status(wandb_run_id=status.wandb_run_id, overrides=status.overrides)
    if status is None:
        (folder / "status.json").unlink(missing_ok=True)
    else:
        replace(status, state="queued", reason=None).write(folder)


@contextmanager
def locked(folder: Path, shared: bool = False) -> Iterator[IO[str]]:
    """Hold a sweep's lock. The kernel lets go of it when all processes that have the file open are gone.

    Args:
        folder: the sweep's.
        shared: whether others may hold it as well.

    Yields:
        The lock's file, which workers inherit: so a driver that follows a killed one waits for its workers.

    Raises:
        UserError: another driver is at work, or the file system has no locks.
    """
    with disk_errors(folder):
        file = (folder / "lock").open("a+", encoding="utf-8")
    with file:
        with disk_errors(folder):
            _wait_for_lock(file, folder, shared)
        if not shared:
            file.truncate(0)
            file.write(f"{os.getpid()} {platform.node()}")
            file.flush()
        yield file


def _wait_for_lock(file: IO[str], folder: Path, shared: bool) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            file.seek(0)
            process, _, host = file.read().strip().partition(" ")
        if host not in ("", platform.node()) or _alive(process) or time.monotonic() > deadline:
            raise UserError(
                f"{folder} is being worked on by another lit-seq sweep (process {process} on {host}); "
                "several may work on one with --storage postgresql://…, or one with --workers."
            )
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
