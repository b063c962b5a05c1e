"""The file by which the trials of a sweep see each other at hyperband's brackets.

One JSON object a line: {"trial": "0007", "iteration": 9, "value": 0.31}. Lines are only added; of a trial
that came to a bracket again, as one does that was killed behind it, the last line counts.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Rung(NamedTuple):
    """A trial at a bracket.

    Attributes:
        trial: the trial's name.
        iteration: the bracket.
        value: of the metric.
    """

    trial: str
    iteration: int
    value: float


def add_rungs(path: Path, rungs: Sequence[Rung]) -> list[Rung]:
    """Add trials that have reached brackets, and return all that have so far.

    Args:
        path: the file; it is made where there is none.
        rungs: of trials that are judged together.

    Raises:
        OSError: the file cannot be read or written.
    """
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        lines = "".join(json.dumps(rung._asdict()) + "\n" for rung in rungs)
        # A process that was killed while it wrote leaves a part of a line.
        file.write(lines if not text or text.endswith("\n") else f"\n{lines}")
        file.flush()
        os.fsync(file.fileno())
    return list({(rung.trial, rung.iteration): rung for rung in (*_read(text), *rungs)}.values())


def _read(text: str) -> Iterator[Rung]:
    for line in text.splitlines():
        try:
            yield Rung(**json.loads(line))
        except (ValueError, TypeError):
            continue
