"""Ctrl-C and SIGTERM end a run between two steps, with its state saved."""

import signal
from types import FrameType
from typing import Any

from lit_seq.training.checkpoints import Checkpoints, Interrupted


class Interruption:
    """While entered, SIGINT or SIGTERM makes `checkpoints` save and stop; the same once more ends at once.

    One of each is one request: a scheduler signals all processes of a job, and a sweep's driver its workers.

    Args:
        checkpoints: the run's checkpoint callback.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._previous: dict[int, Any] = {}
        self._received: set[int] = set()

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._receive)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number in self._received:
            raise Interrupted(f"interrupted twice ({signal.Signals(number).name})")
        self._received.add(number)
        self._checkpoints.stop_reason = f"interrupted by {signal.Signals(number).name}"
