"""Ways to break a sweep that runs. Each holds for a moment, and is over when it returns."""

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faults_sweeps import Sweep

from lit_seq.checkpoint_file import RESUMABLE
from lit_seq.run_folder import ENDED

Break = Callable[[Sweep, random.Random], bool]
"""Breaks a sweep; returns False where there was nothing to break."""


def _signal(process: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, number)
        return True
    return False


def _driver(sweep: Sweep) -> int:
    assert sweep.driver is not None
    return sweep.driver.pid


def kill_everything(sweep: Sweep, numbers: random.Random) -> bool:
    sweep.kill()
    return True


def kill_driver(sweep: Sweep, numbers: random.Random) -> bool:
    return _signal(_driver(sweep), signal.SIGKILL)


def kill_worker(sweep: Sweep, numbers: random.Random) -> bool:
    workers = sweep.workers()
    return bool(workers) and _signal(numbers.choice(workers), signal.SIGKILL)


def sigterm(sweep: Sweep, numbers: random.Random) -> bool:
    return _signal(_driver(sweep), signal.SIGTERM)


def sigint(sweep: Sweep, numbers: random.Random) -> bool:
    return _signal(_driver(sweep), signal.SIGINT)


def sigint_twice(sweep: Sweep, numbers: random.Random) -> bool:
    _signal(_driver(sweep), signal.SIGINT)
    time.sleep(numbers.uniform(0.0, 0.5))
    return _signal(_driver(sweep), signal.SIGINT)


def _stop(process: int, numbers: random.Random) -> bool:
    if not _signal(process, signal.SIGSTOP):
        return False
    time.sleep(numbers.uniform(0.2, 2.0))
    _signal(process, signal.SIGCONT)
    return True


def stop_worker(sweep: Sweep, numbers: random.Random) -> bool:
    workers = sweep.workers()
    return bool(workers) and _stop(numbers.choice(workers), numbers)


def stop_driver(sweep: Sweep, numbers: random.Random) -> bool:
    return _stop(_driver(sweep), numbers)


def lock_study(sweep: Sweep, numbers: random.Random) -> bool:
    path = sweep.folder / "study.db"
    if not path.exists():
        return False
    database = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(numbers.uniform(0.5, 4.0))
        database.execute("ROLLBACK")
    finally:
        database.close()
    return True


def jump_clock(sweep: Sweep, numbers: random.Random) -> bool:
    try:
        sweep.clock.write_text(str(numbers.choice([-1, 1]) * 10 ** numbers.uniform(0, 7)))
    except OSError:  # the disk is full just now
        return False
    return True


def limit_files(sweep: Sweep, numbers: random.Random) -> bool:
    """Let files of a process grow no further, as a quota does."""
    limited = [*sweep.workers(), *([_driver(sweep)] if numbers.random() < 0.3 else [])]
    size = numbers.choice([0, 2000, 20_000])
    for soft in (size, resource.RLIM_INFINITY):
        for process in limited:
            with suppress(ProcessLookupError, PermissionError):
                resource.prlimit(process, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
        time.sleep(numbers.uniform(0.2, 1.5) if soft == size else 0)
    sweep.lost_rows = True
    return bool(limited)


def fill_disk(sweep: Sweep, numbers: random.Random) -> bool:
    """Leave no byte on the file system that the sweep has to itself."""
    ballast = sweep.place / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"0")
    time.sleep(numbers.uniform(0.2, 1.5))
    ballast.unlink()
    sweep.lost_rows = True
    return True


def make_read_only(sweep: Sweep, numbers: random.Random) -> bool:
    """Let a trial's folder and its checkpoints take no new file."""
    folders = sorted(sweep.folder.glob("trials/*"))
    if not folders:
        return False
    folder = numbers.choice(folders)
    with _unchanging([path for path in (folder, folder / "checkpoints") if path.exists()]):
        time.sleep(numbers.uniform(0.2, 1.5))
    sweep.lost_rows = True
    return True


@contextmanager
def _unchanging(folders: list[Path]) -> Iterator[None]:
    # Modes bind nobody who is root.
    root = os.getuid() == 0
    command = ["chattr", "+i"] if root else ["chmod", "a-w"]
    subprocess.run([*command, *map(str, folders)], check=True, capture_output=True)
    try:
        yield
    finally:
        command = ["chattr", "-i"] if root else ["chmod", "u+w"]
        subprocess.run([*command, *map(str, folders)], check=True, capture_output=True)


def _checkpoints(sweep: Sweep) -> list[Path]:
    running = [name for name, status in sweep.statuses().items() if status.state not in ENDED]
    paths = [sweep.folder / "trials" / name / "checkpoints" / kind for name in running for kind in RESUMABLE]
    return [path for path in paths if path.exists()]


def cut_checkpoint(sweep: Sweep, numbers: random.Random) -> bool:
    paths = _checkpoints(sweep)
    if paths:
        path = numbers.choice(paths)
        os.truncate(path, numbers.randrange(path.stat().st_size))
    return bool(paths)


def flip_bit(sweep: Sweep, numbers: random.Random) -> bool:
    paths = _checkpoints(sweep)
    if paths:
        path = numbers.choice(paths)
        content = bytearray(path.read_bytes())
        if not content:
            return False
        content[numbers.randrange(len(content))] ^= 1 << numbers.randrange(8)
        path.write_bytes(content)
    return bool(paths)


LASTING: dict[str, Break] = {
    "SIGKILL of a worker": kill_worker,
    "SIGSTOP and SIGCONT of a worker": stop_worker,
    "SIGSTOP and SIGCONT of the driver": stop_driver,
    "study.db locked": lock_study,
    "clock jumps": jump_clock,
    "file size limited": limit_files,
}
"""Those that a sweep may live through."""

ENDING: dict[str, Break] = {
    "SIGKILL of everything": kill_everything,
    "SIGKILL of the driver": kill_driver,
    "SIGTERM": sigterm,
    "SIGINT": sigint,
    "SIGINT twice": sigint_twice,
}
"""Those that end a sweep."""

RESTING: dict[str, Break] = {
    "checkpoint cut short": cut_checkpoint,
    "checkpoint with a flipped bit": flip_bit,
}
"""Those that befall a sweep while nothing of it runs."""


def available(place: Path) -> tuple[dict[str, Break], list[str]]:
    """Return the lasting faults that this machine can make, and say why others are left out.

    Args:
        place: where sweeps lie.
    """
    faults, missing = dict(LASTING), []
    if os.path.ismount(place):
        faults["disk full"] = fill_disk
    else:
        missing.append("disk full: no file system of its own can be mounted")
    try:
        if not shutil.which("chattr"):
            raise OSError("there is no chattr")
        with _unchanging([place]):
            pass
        faults["folder read-only"] = make_read_only
    except (OSError, subprocess.CalledProcessError) as error:
        missing.append(f"folder read-only: {error}")
    return faults, missing
