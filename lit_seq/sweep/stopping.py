"""SIGINT and SIGTERM to a process that has workers."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lit_seq.sweep.pool import Pool


class Stopping:
    """The first signal asks the workers to save and stop, the second kills them. True once one has come.

    Args:
        pool: the workers.
        say: tells the user.
    """

    def __init__(self, pool: Pool, say: Callable[[str], None]) -> None:
        self._pool, self._say = pool, say
        self._received = self._heeded = 0

    def __bool__(self) -> bool:
        """Return whether a signal has come."""
        return self._received > 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Receive signals, for `heed` to act on where the workers are in a known state."""

        def receive(number: int, frame: FrameType | None) -> None:
            self._received += 1

        previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def heed(self) -> None:
        """Do what the latest signal asks for."""
        if self._received > self._heeded:
            self._heeded = self._received
            if self._heeded == 1:
                self._say("Stopping: running trials are saved; once more kills them.")
                self._pool.interrupt()
            else:
                self._pool.kill()
