"""How long a driver may go on with its trials: until the others take it for dead.

A driver renews its leases in the storage, and tells its workers how long they last. One that does not get
to it, because it was stopped, cut off from the storage or switched off, has lost its trials to others a while
later; its workers end by themselves before that, so that nobody else writes to the same run folders.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from lit_seq.sweep.storage import StorageAway

ResultT = TypeVar("ResultT")

SHORTEST = 5.0
"""Seconds; a shorter lease would end while a driver prepares trials."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_UNLEASED = 60.0


def clock() -> float:
    """Return seconds that go on while a machine is suspended, and never jump."""
    return time.clock_gettime(_CLOCK)


class Watchdog:
    """Ends a worker whose lease has run out while it is at work.

    Args:
        busy: whether the worker is at work.
    """

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self.deadline: float | None = None

    def start(self) -> None:
        """Look from now on, and first of all when the process goes on after it was stopped."""
        signal.signal(signal.SIGCONT, self._look)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(0.5)
            self._look()

    def _look(self, number: int = 0, frame: FrameType | None = None) -> None:
        if self.deadline is not None and clock() >= self.deadline and self._busy():
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
            os._exit(1)


class Patience:
    """Asks a storage again that does not answer, for a bounded time, while trials go on.

    Args:
        lease: seconds of a lease; None without. In a third of it others do not yet take trials over that
            can still be saved.
        say: shows the user a sentence.
    """

    def __init__(self, lease: float | None, say: Callable[[str], None]) -> None:
        self._most = lease / 3 if lease else _UNLEASED
        self._say = say
        self._since: float | None = None
        self._again = 0.0

    def ask(self, call: Callable[[], ResultT]) -> ResultT | None:
        """Return the storage's answer; None as long as it does not answer.

        Raises:
            StorageAway: it has not answered for too long.
        """
        if self._since is not None and clock() < self._again:
            return None
        try:
            result = call()
        except StorageAway as error:
            now = clock()
            if self._since is None:
                self._since = now
                self._say(f"{error} Running trials go on; it is tried again for {self._most:.0f} s.")
            elif now - self._since > self._most:
                raise
            self._again = clock() + 1
            return None
        if self._since is not None:
            self._say("The storage can be used again.")
        self._since = None
        return result
