"""What the processes that a measurement starts take: time, memory, and what others take meanwhile."""

import os
import re
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

CORES = len(os.sched_getaffinity(0))
_PERIOD = 0.5


class Watch:
    """Context in which this process's descendants are watched.

    Attributes:
        seconds: wall time.
        memory: largest sum of their proportional set sizes, MiB.
        processor: seconds that their cores worked.
        others: part of the machine's processor time that others took.
    """

    def __enter__(self) -> "Watch":
        self.memory, self._over = 0.0, threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._busy, self._own, self._start = _busy(), _own(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self.processor = _own() - self._own
        taken = _busy() - self._busy - self.processor
        self.others = max(0.0, taken / self.seconds / (os.cpu_count() or 1))
        self._over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._over.wait(_PERIOD):
            self.memory = max(self.memory, sum(map(_proportional, _descendants(os.getpid()))) / 1024)


def _busy() -> float:
    """Return the seconds that all cores together have worked."""
    user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Return the processor time of this process and of its descendants that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _descendants(process: int) -> Iterator[int]:
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _descendants(child)


def _proportional(process: int) -> int:
    """Return a process's proportional set size in KiB; 0 if it is gone."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
