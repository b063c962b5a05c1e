"""Breaks small sweeps at random moments, and checks that each comes to what it comes to undisturbed.

    python tests/faults/breaking.py --faults 200 --seed 1 [--output benchmarks/results/faults-….md]

A sweep is begun or gone on with, broken while it runs and while it rests, and begun again, until it is done.
Its trials are then compared with those of the same sweep undisturbed: each exists once, with the same
metrics, samples and weights, bit for bit; no process and no half-written file is left; W&B's steps never go
back.
"""

import argparse
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch
from faults_kinds import ENDING, RESTING, Break, available
from faults_sweeps import KINDS, Sweep

_PER_SWEEP = 40
_PATIENCE = 400.0


@dataclass
class Tally:
    """What was tried, and what went wrong.

    Attributes:
        tried: faults by kind.
        survived: those of sweeps in which nothing was wrong in the end.
        sweeps: sweeps that were done.
        starts: times that a sweep was begun or gone on with.
        wrong: what was wrong.
    """

    tried: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    sweeps: int = 0
    starts: int = 0
    wrong: list[str] = field(default_factory=list)


class Harness:
    """Breaks sweeps.

    Args:
        place: a folder, which is emptied.
        seed: of all that is random here; when a process gets to a point is not.
    """

    def __init__(self, place: Path, seed: int) -> None:
        self._place, self._numbers = place, random.Random(seed)
        self._lasting, self.missing = available(place)
        self._expected: dict[str, dict[str, Any]] = {}
        self.tally = Tally()

    def run(self, faults: int) -> Tally:
        """Break sweeps until so many faults were tried."""
        self._expected = {kind: self._undisturbed(kind) for kind in KINDS}
        while self.tally.tried.total() < faults:
            kind = list(KINDS)[self.tally.sweeps % len(KINDS)]
            self._break(kind, min(_PER_SWEEP, faults - self.tally.tried.total()))
            print(f"{self.tally.tried.total()} faults, {self.tally.sweeps} sweeps", flush=True)
        return self.tally

    def _undisturbed(self, kind: str) -> dict[str, Any]:
        sweep = Sweep(kind, self._place / kind)
        sweep.start(2)
        if _wait(sweep) != 0:
            raise RuntimeError(f"the undisturbed sweep failed:\n{sweep.log}")
        expected = sweep.result()
        assert not sweep.faults(expected), sweep.faults(expected)
        return expected

    def _break(self, kind: str, most: int) -> None:
        sweep = Sweep(kind, self._place / f"{kind}-{self.tally.sweeps}")
        tried: Counter[str] = Counter()
        wrong: list[str] = []
        code = None
        # Undisturbed at last, a sweep may need to be begun twice: a trial that failed waits for --resume.
        left = 3
        while code != 0 and left and not wrong:
            self.tally.starts += 1
            sweep.start(self._numbers.choice([1, 1, 2]))
            if tried.total() < most:
                self._disturb(sweep, tried, most)
            else:
                left -= 1
            code = _wait(sweep)
            orphans = _wait_for_orphans(sweep)
            wrong += [f"process {one} is left" for one in orphans]
            # Signals end a driver that does not listen yet, or no longer: it imports, or is about to go.
            if code not in (0, 1, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
                wrong.append(f"exit code {code}")
            if code != 0 and tried.total() < most and sweep.folder.exists():
                self._damage(sweep, tried, most)
        if code != 0:
            wrong.append(f"exit code {code} after the last --resume")
        wrong += [] if wrong else sweep.faults(self._expected[kind])
        self.tally.sweeps += 1
        self.tally.tried += tried
        if wrong:
            kept = Path(tempfile.mkdtemp(prefix="lit-seq-faults-"))
            shutil.copytree(sweep.place, kept, dirs_exist_ok=True)
            self.tally.wrong += [f"{kind} ({', '.join(tried)}): {one}; see {kept}" for one in wrong]
            print(*self.tally.wrong[-len(wrong) :], sep="\n", flush=True)
        else:
            self.tally.survived += tried
        shutil.rmtree(sweep.place)

    def _disturb(self, sweep: Sweep, tried: Counter[str], most: int) -> None:
        """Break a sweep that has been begun, some ways at once, and end it."""
        numbers = self._numbers
        # Some break it before it has come up.
        if numbers.random() < 0.85:
            _wait_until_training(sweep)
        else:
            time.sleep(numbers.uniform(0.0, 4.0))
        threads = []
        names = numbers.choices(list(self._lasting), k=min(numbers.randint(12, 28), most - tried.total()))
        for name in dict.fromkeys(names):
            delays = [numbers.uniform(0.0, 2.0) for _ in range(names.count(name))]
            own = random.Random(numbers.random())
            threads.append(
                threading.Thread(target=_later, args=(delays, self._lasting[name], sweep, own, name, tried))
            )
        for thread in threads:
            thread.start()
        if tried.total() + len(names) < most:
            time.sleep(numbers.uniform(0.3, 6.0))
            name = numbers.choice(list(ENDING))
            if sweep.driver and sweep.driver.poll() is None and ENDING[name](sweep, numbers):
                tried[name] += 1
        for thread in threads:
            thread.join()

    def _damage(self, sweep: Sweep, tried: Counter[str], most: int) -> None:
        for name, damage in RESTING.items():
            if self._numbers.random() < 0.6 and tried.total() < most and damage(sweep, self._numbers):
                tried[name] += 1


def _later(
    delays: list[float], fault: Break, sweep: Sweep, numbers: random.Random, name: str, tried: Counter[str]
) -> None:
    """Break a sweep in one way again and again, each time after a delay."""
    for delay in delays:
        time.sleep(delay)
        if sweep.driver and sweep.driver.poll() is None and fault(sweep, numbers):
            tried[name] += 1


def _wait(sweep: Sweep) -> int | None:
    assert sweep.driver is not None
    try:
        return sweep.driver.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        sweep.kill()
        sweep.driver.wait()
        return None


def _wait_for_orphans(sweep: Sweep) -> list[int]:
    """Wait for what outlives the driver by a moment, such as workers that save; return and end what stays."""
    deadline = time.monotonic() + 75.0
    while (left := sweep.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    sweep.kill()
    return left


def _wait_until_training(sweep: Sweep) -> None:
    before, deadline = time.time(), time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and sweep.driver and sweep.driver.poll() is None:
        files = sweep.folder.glob("trials/*/status.json")
        if any(path.stat().st_mtime > before and '"running"' in path.read_text() for path in files):
            return
        time.sleep(0.1)


@contextmanager
def _own_file_system() -> Iterator[Path]:
    """Yield a folder, on a small file system of its own where that can be had."""
    place = Path(tempfile.mkdtemp(prefix="lit-seq-faults-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield place
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


def run(faults: int, seed: int) -> tuple[Tally, list[str]]:
    """Break sweeps, and return what came of it and which faults this machine cannot make."""
    with _own_file_system() as place:
        harness = Harness(place, seed)
        return harness.run(faults), harness.missing


def table(tally: Tally, missing: list[str]) -> str:
    """Return the tally as Markdown."""
    lines = ["| fault | tried | survived |", "|---|---:|---:|"]
    lines += [f"| {name} | {tally.tried[name]} | {tally.survived[name]} |" for name in sorted(tally.tried)]
    lines += [f"| **all** | **{tally.tried.total()}** | **{tally.survived.total()}** |", ""]
    lines += [f"{tally.sweeps} sweeps, begun or resumed {tally.starts} times."]
    return "\n".join([*lines, *(f"Left out: {one}." for one in missing), *tally.wrong])


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the figures to this Markdown file as well")
    args = parser.parse_args()
    began = time.monotonic()
    tally, missing = run(args.faults, args.seed)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = table(tally, missing)
    print(figures)
    if args.output:
        seconds = f"{time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time"
        args.output.write_text(
            f"# Faults tried on small sweeps\n\n`python tests/faults/breaking.py --faults {args.faults} "
            f"--seed {args.seed}`, {date.today()}, {_processor()}, {os.cpu_count()} cores, Linux "
            f"{platform.release()}, Python {platform.python_version()}, torch {torch.__version__}; {seconds}."
            f"\n\n{figures}\n"
        )
    return 1 if tally.wrong else 0


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


if __name__ == "__main__":
    sys.exit(main())
