"""Runs a sweep's trials on its workers, and keeps its state."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lit_seq.errors import UserError
from lit_seq.report.wording import count
from lit_seq.run_folder import Status
from lit_seq.sweep.display import Display
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.folder import disk_errors, prepare_trial, trial_folder
from lit_seq.sweep.lease import Patience, clock
from lit_seq.sweep.pool import Pool
from lit_seq.sweep.stopping import Stopping
from lit_seq.sweep.storage import StorageAway
from lit_seq.sweep.study import Attempt, Counts, Study
from lit_seq.sweep.supply import Supply
from lit_seq.sweep.trial import OVER, Trial, last_words, read_trials, trial_arguments

_LOOK_EVERY = 1.0
_ASK_EVERY = 2.0
_TAKEN_OVER = "another machine has taken it over"


class Driver:
    """Runs what waits in a study.

    Args:
        folder: the sweep's folder.
        file: the sweep file.
        study: the sweep's state.
        pool: the workers.
        display: where the user watches.
        pack_size: the most trials that are stacked; 1 trains each alone.
    """

    def __init__(
        self, folder: Path, file: SweepFile, study: Study, pool: Pool, display: Display, pack_size: int
    ) -> None:
        self._folder, self._file, self._study, self._pool = folder, file, study, pool
        self._display = display
        self._supply = Supply(folder, file, study, pack_size)
        self._lease = study.terms.lease if study.shared else None
        self._patience = Patience(self._lease, display.say)
        self._renew_at = 0.0
        self._deadline: float | None = None
        self._counts = Counts(0, 0, None)
        self._counted: float | None = None
        self._held: dict[int, Attempt] = {}
        self._retries: list[list[Attempt]] = []
        self._ended: list[dict[str, Any]] = []
        self._stopping = Stopping(pool, display.say)
        self.trials = read_trials(folder, file.metric)

    def run(self) -> bool:
        """Run trials until none waits or runs, the target is reached, or SIGINT or SIGTERM comes.

        Returns:
            Whether all that was to be done is done.

        Raises:
            UserError: the folder or the storage cannot be written, or the workers cannot start.
        """
        looked = 0.0
        with self._stopping.listening(), disk_errors(self._folder):
            try:
                while self._goes_on():
                    events = self._pool.wait(0.25)
                    self._keep_leases()
                    self._ended += self._retried(events)
                    self._ended = [event for event in self._ended if not self._end(event)]
                    self._stopping.heed()
                    if time.monotonic() - looked >= _LOOK_EVERY:
                        looked = time.monotonic()
                        self._look()
            finally:
                self._pool.close()
                self._let_go(list(self._held))
                self._look()
        return not self._stopping

    def _goes_on(self) -> bool:
        """Give waiting trials to free workers, and return whether there is anything to wait for."""
        metric = self._file.metric
        values = [self._counts.best, *(trial.best for trial in self.trials.values())]
        over = self._stopping or (metric and any(metric.reached(value) for value in values))
        for place in [] if over else self._pool.free():
            if (attempts := self._next_pack()) is None:
                break
            if attempts:
                self._begin(place, attempts)
        self._count()
        left = self._counts.waiting + len(self._supply.taken) + (self._counts.running if self._lease else 0)
        return self._pool.busy or bool(self._ended) or bool(not over and (left or self._counted is None))

    def _count(self) -> None:
        """Ask how many trials wait and run, where that may have changed."""
        now = clock()
        stale = self._lease is not None and now - (self._counted or 0) > _ASK_EVERY
        if (self._counted is None or stale) and (counts := self._patience.ask(self._study.counts)):
            self._counts, self._counted = counts, now

    def _next_pack(self) -> list[Attempt] | None:
        """Take the next trials that can be stacked; None where there are none now."""
        if self._retries:
            return self._retries.pop(0)
        self._count()
        waiting = self._counts.waiting + len(self._supply.taken)
        if not waiting or self._counted is None:
            return None
        before = clock()
        attempts = self._patience.ask(lambda: self._supply.next_pack(waiting, len(self._pool.free())))
        if self._lease and not self._held:
            self._deadline = before + 0.9 * self._lease
        self._counted = None
        self._held |= {attempt.number: attempt for attempt in (*(attempts or ()), *self._supply.taken)}
        return [attempt for attempt in attempts if not self._is_over(attempt)] if attempts else None

    def _is_over(self, attempt: Attempt) -> bool:
        """Lay a trial's folder out for the attempt, or note its end if the one before it came to one."""
        folder = trial_folder(self._folder, attempt.number)
        status = prepare_trial(folder, attempt.values, self._study.terms.wandb_id(attempt.number))
        self.trials[attempt.number] = Trial(attempt.number, folder, status)
        if status.state in OVER:
            self._ended.append({"event": "ended", "number": attempt.number, "error": None})
        return status.state in OVER

    def _begin(self, place: int, attempts: list[Attempt]) -> None:
        orders = []
        for attempt in attempts:
            trial = self.trials[attempt.number]
            trial.pack, trial.status.state, trial.status.reason = len(attempts), "running", None
            arguments = trial_arguments(self._file, attempt.values, trial.folder, trial.folder / "args.json")
            if (trial.folder / "config.yaml").exists():
                arguments += ["--ckpt_path", "last"]
            order = {"number": trial.number, "log": str(trial.folder / "log.txt"), "arguments": arguments}
            stacked = len(attempts) > 1 or self._supply.is_stacked(attempt)
            orders.append(order | {"stacked": stacked, "alone": self._supply.alone.get(trial.number)})
        self._pool.give(place, orders, self._deadline)
        for attempt in attempts:
            self._display.changed(self.trials[attempt.number], self.trials)

    def _keep_leases(self) -> None:
        """Renew the leases in time; let go of what was handed on, and take what others left."""
        if self._lease is None or (now := clock()) < self._renew_at:
            return
        late = bool(self._held) and self._deadline is not None and now >= self._deadline
        if late and self._pool.drop(self._held):
            self._display.say("This machine was away for longer than its lease; its trials were stopped.")
        handles = {attempt.handle: number for number, attempt in self._held.items()}
        lost = self._patience.ask(lambda: self._study.renew(list(handles)))
        if lost is None:
            return
        gone = {handles[handle] for handle in lost}
        stopped = set(self._held) if late else self._pool.drop(gone)
        for number in sorted(gone):
            self._display.say(f"{number:04d}  {_TAKEN_OVER}")
            self._forget(number)
        self._let_go(sorted(stopped - gone))
        self._deadline = now + 0.9 * self._lease
        self._pool.renew(self._deadline)
        self._renew_at = now + self._lease / 12
        if handed_on := self._patience.ask(self._study.hand_on):
            self._display.say(f"Taken from a machine that is gone: {count(handed_on, 'trial')}.")
            self._counted = None

    def _let_go(self, numbers: list[int]) -> None:
        """Let trials wait again that have been stopped here."""
        if not numbers:
            return
        with suppress(StorageAway):  # others wait for the lease to end
            self._study.release([self._held[number].handle for number in numbers])
        for number in numbers:
            self._forget(number)

    def _forget(self, number: int) -> None:
        attempt = self._held.pop(number)
        self._supply.taken = [other for other in self._supply.taken if other != attempt]
        self._retries = [part for old in self._retries if (part := [one for one in old if one != attempt])]
        self._counted = None

    def _retried(self, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Let a pack whose worker died go on in halves, so that the one that killed it fails alone."""
        died: dict[int, list[Attempt]] = {}
        for event in events:
            if event["number"] not in self._held:
                continue
            trial = self.trials[event["number"]]
            over = (_status(trial.folder) or trial.status).state in OVER
            if event["event"] == "died" and trial.pack > 1 and not over and not self._stopping:
                died.setdefault(event["place"], []).append(self._held[event["number"]])
            else:
                yield event
        for attempts in died.values():
            half = (len(attempts) + 1) // 2
            self._retries += [part for part in (attempts[:half], attempts[half:]) if part]
            self._display.say(f"The worker of {len(attempts)} trials died; they go on in parts.")

    def _end(self, event: dict[str, Any]) -> bool:
        """Note what a worker says about a trial's end; return whether that is done."""
        number = event["number"]
        if number not in self._held:
            return True
        trial, handle = self.trials[number], self._held[number].handle
        told = trial.status.state in OVER and event.get("place") is not None
        status = _status(trial.folder) or trial.status
        code, error = event.get("code"), event["error"]
        if status.state in ("queued", "running") and self._stopping and code in (None, 130):
            trial.status = status
            self._let_go([number])
            self._display.changed(trial, self.trials)
            return True
        failed = status.state not in OVER
        if failed and status.state != "failed":
            status.state = "failed"
            status.reason = error or last_words(trial.folder / "log.txt") or f"it ended with exit code {code}"
        trial.status = status
        trial.look_back(self._file.metric)
        ours = self._patience.ask(lambda: self._study.end(handle, status.state, trial.best))
        if ours is None:
            return False
        self._forget(number)
        if not ours:
            self._display.say(f"{number:04d}  {_TAKEN_OVER}")
            return True
        if failed:
            status.write(trial.folder)
            if code == 1:
                # An error on a GPU breaks all that follows in its process.
                self._pool.retire(event["place"])
        if not told:
            self._display.changed(trial, self.trials)
        return True

    def _look(self) -> None:
        for trial in self.trials.values():
            if trial.status.state == "running":
                trial.look(self._file.metric)
                if trial.status.state in OVER:  # others of its pack go on
                    trial.look_back(self._file.metric)
                    self._display.changed(trial, self.trials)
        self._display.refresh(self.trials, self._counts.waiting)


def _status(folder: Path) -> Status | None:
    try:
        return Status.read(folder)
    except UserError:
        return None
