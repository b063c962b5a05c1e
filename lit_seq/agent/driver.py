"""Trains what W&B's server hands out, as packs, and answers what it says of each run."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lit_seq.agent.runs import Handed, Orders
from lit_seq.agent.server import Command, Server
from lit_seq.errors import UserError
from lit_seq.packing.plan import choose
from lit_seq.run_folder import ENDED, Status
from lit_seq.sweep.pool import Pool
from lit_seq.sweep.stopping import Stopping
from lit_seq.sweep.trial import last_words

_BEAT_EVERY = 5.0
# As `wandb agent`: so many failures before anything else mean that the sweep is wrong.
_MOST_FAILURES = 5


@dataclass
class Slot:
    """One agent at the server, which has one run at most.

    Attributes:
        agent: its id.
        run: the number of its run.
        closed: whether the server has sent it home.
    """

    agent: str
    run: int | None = None
    closed: bool = False


class Driver:
    """Works for a sweep until the server says that there is nothing left.

    Args:
        server: the sweep.
        orders: what workers are told.
        pool: the workers.
        pack_size: the most trials that are stacked; each worker has as many agents at the server.
        count: the most runs that are taken; None for all.

    Attributes:
        ended: the state in which each run ended, by run id.
    """

    def __init__(self, server: Server, orders: Orders, pool: Pool, pack_size: int, count: int | None) -> None:
        self._server, self._orders, self._pool = server, orders, pool
        self._pack_size, self._left = pack_size, sys.maxsize if count is None else count
        self._slots = [Slot(server.register()) for _ in range(min(pack_size * pool.places, self._left))]
        self._runs: list[Handed] = []
        self._waiting: list[int] = []
        self._parts: list[list[int]] = []
        self._asked = False
        self._beaten = 0.0
        self._stopping = Stopping(pool, lambda text: print(text, file=sys.stderr))
        self.ended: dict[str, str] = {}

    def run(self) -> bool:
        """Work until the server sends all agents home, or SIGINT or SIGTERM comes.

        Returns:
            Whether the server sent them home, or `count` runs are done.

        Raises:
            UserError: a folder cannot be written, or the workers cannot start.
        """
        with self._stopping.listening(), ThreadPoolExecutor(1) as network:
            answers: Future[list[tuple[Slot, Command]]] | None = None
            try:
                while answers or self._works():
                    if answers and answers.done():
                        self._heed(answers.result())
                        answers = None
                    if answers is None and self._beat_is_due():
                        self._beaten = time.monotonic()
                        self._asked = bool(self._free())
                        answers = network.submit(self._beat, self._to_beat())
                    if answers is None:
                        self._start()
                    for event in self._retried(self._pool.wait(0.1)):
                        self._end(event)
                    self._stopping.heed()
            finally:
                self._pool.close()
        self._give_back()
        return not self._stopping

    def _works(self) -> bool:
        if self._stopping:
            return self._pool.busy
        asks = self._left > 0 and not self._fails() and any(not slot.closed for slot in self._slots)
        return asks or bool(self._waiting or self._parts) or self._pool.busy

    def _fails(self) -> bool:
        """Tell whether nothing but failures came of the sweep."""
        states = list(self.ended.values())
        return len(states) >= _MOST_FAILURES and set(states) == {"failed"}

    def _free(self) -> list[Slot]:
        """Return the agents that may be given a run: those without, while there is a worker for it."""
        if self._stopping or self._fails() or not self._pool.free():
            return []
        return [slot for slot in self._slots if slot.run is None and not slot.closed][: self._left]

    def _to_beat(self) -> list[Slot]:
        return [*(slot for slot in self._slots if slot.run is not None), *self._free()]

    def _beat_is_due(self) -> bool:
        new = not self._asked and bool(self._free())
        return bool(self._to_beat()) and (new or time.monotonic() - self._beaten >= _BEAT_EVERY)

    def _beat(self, slots: list[Slot]) -> list[tuple[Slot, Command]]:
        """Let agents tell the server that they live; in a thread, as the server may be away."""
        answers: list[tuple[Slot, Command]] = []
        for slot in slots:
            began = time.monotonic()
            run_id = None if slot.run is None else self._runs[slot.run].run_id
            answers += [(slot, command) for command in self._server.beat(slot.agent, run_id)]
            if self._stopping or time.monotonic() - began > _BEAT_EVERY:
                break
        return answers

    def _heed(self, answers: list[tuple[Slot, Command]]) -> None:
        for slot, command in answers:
            if command.kind in ("run", "resume") and slot.run is None:
                self._left -= 1
                slot.run = len(self._runs)
                self._runs.append(self._orders.take(command.run_id, command.values))
                self._waiting.append(slot.run)
            elif command.kind == "stop":
                self._stop(slot, "stopped by the W&B sweep")
            elif command.kind == "exit":
                slot.closed = True
                self._stop(slot, "the W&B sweep has ended")

    def _stop(self, slot: Slot, reason: str) -> None:
        if slot.run is None:
            return
        run = self._runs[slot.run]
        if slot.run in self._waiting:
            self._waiting.remove(slot.run)
            self._over(slot.run, "stopped", f"{reason} before it began")
        else:
            self._pool.stop_trial(slot.run, run.folder, reason)

    def _start(self) -> None:
        """Give what waits to the workers that are free."""
        for place in [] if self._stopping else self._pool.free():
            if self._parts:
                numbers = self._parts.pop(0)
            elif self._waiting:
                # Workers that are free share what is left.
                size = max(1, min(self._pack_size, -(-len(self._waiting) // len(self._pool.free()))))
                numbers = choose(self._waiting, lambda number: self._runs[number].key, size)
            else:
                break
            self._waiting = [number for number in self._waiting if number not in numbers]
            for number in numbers:
                self._runs[number].pack = len(numbers)
            self._pool.give(place, [self._orders.order(number, self._runs[number]) for number in numbers])
            names = ", ".join(self._runs[number].run_id for number in numbers)
            print(f"A pack of {len(numbers)}: {names}" if len(numbers) > 1 else f"Alone: {names}", flush=True)

    def _retried(self, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Let a pack whose worker died go on in halves, so that the one that killed it fails alone."""
        died: dict[int, list[int]] = {}
        for event in events:
            run = self._runs[event["number"]]
            again = run.pack > 1 and not self._stopping and _status(run).state not in ENDED
            if event["event"] == "died" and again:
                died.setdefault(event["place"], []).append(event["number"])
            else:
                yield event
        for numbers in died.values():
            half = (len(numbers) + 1) // 2
            self._parts += [part for part in (numbers[:half], numbers[half:]) if part]

    def _end(self, event: dict[str, Any]) -> None:
        """Note what a worker says about a run's end."""
        number = event["number"]
        run = self._runs[number]
        status = _status(run)
        self._asked = False
        if status.state in ENDED:
            self._over(number, status.state, status.reason)
        elif self._stopping:
            self._over(number, "interrupted", None)
        else:
            reason = event["error"] or last_words(run.folder / "log.txt") or "it ended without a word"
            status.state, status.reason = "failed", reason
            status.write(run.folder)
            self._server.close_runs([(run.run_id, run.folder)], preempted=False)
            self._over(number, "failed", reason)
        if event.get("code") == 1:
            # An error on a GPU breaks all that follows in its process.
            self._pool.retire(event["place"])

    def _over(self, number: int, state: str, reason: str | None) -> None:
        run = self._runs[number]
        self.ended[run.run_id] = state
        for slot in self._slots:
            slot.run = None if slot.run == number else slot.run
        print(f"{run.run_id} {state}{f': {reason}' if reason else ''}", flush=True)

    def _give_back(self) -> None:
        """Let the server hand out again what has not begun."""
        left = [self._runs[number] for number in chain(self._waiting, *self._parts)]
        self._server.close_runs([(run.run_id, run.folder) for run in left], preempted=True)


def _status(run: Handed) -> Status:
    try:
        return Status.read(run.folder)
    except UserError:
        return Status(wandb_run_id=run.run_id)
