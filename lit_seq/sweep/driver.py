"""Runs a sweep's trials on its workers, and keeps its state."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from lit_seq.configuration import parse, plain
from lit_seq.errors import UserError
from lit_seq.packing.function import Unpackable
from lit_seq.packing.keys import PackKey, pack_key
from lit_seq.packing.plan import Keys, choose
from lit_seq.run_folder import Status
from lit_seq.sweep.display import Display
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.folder import disk_errors, lay_down_trial, requeue, trial_folder
from lit_seq.sweep.pool import Pool
from lit_seq.sweep.study import Attempt, Study, storage_errors
from lit_seq.sweep.trial import OVER, Trial, last_words, read_trials, trial_arguments

_LOOK_EVERY = 1.0
# How many packs' worth of trials are looked at for one pack.
_LOOK_AHEAD = 8


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
        self._pack_size = pack_size
        self._keys = Keys(self._parse)
        self._taken: list[Attempt] = []
        self._retries: list[list[Attempt]] = []
        self._attempts: dict[int, Attempt] = {}
        self._pack_keys: dict[int, str] = {}
        self._alone: dict[int, str] = {}
        self._signals = self._heeded = 0
        self.trials = read_trials(folder, file.metric)

    def run(self) -> bool:
        """Run trials until none waits, the target is reached, or SIGINT or SIGTERM comes.

        Returns:
            Whether all that was to be done is done.

        Raises:
            UserError: the folder or the storage cannot be written, or the workers cannot start.
        """
        looked = 0.0
        with self._receiving_signals(), disk_errors(self._folder), storage_errors(self._study.storage):
            try:
                while self._start_trials() or self._pool.busy:
                    for event in self._retried(self._pool.wait(0.25)):
                        self._end(event)
                    self._heed_signals()
                    if time.monotonic() - looked >= _LOOK_EVERY:
                        looked = time.monotonic()
                        self._look()
            finally:
                self._pool.close()
                self._look()
        return not self._signals

    def _start_trials(self) -> bool:
        """Give waiting trials to free workers; return whether any was given."""
        metric = self._file.metric
        reached = metric and any(metric.reached(trial.best) for trial in self.trials.values())
        started = False
        for place in [] if reached or self._signals else self._pool.free():
            attempts = self._next_pack()
            if not attempts:
                break
            orders = [self._begin(attempt) for attempt in attempts]
            self._attempts |= {attempt.number: attempt for attempt in attempts}
            self._pool.give(place, orders)
            for attempt in attempts:
                self.trials[attempt.number].pack = len(attempts)
                self._display.changed(self.trials[attempt.number], self.trials)
            started = True
        return started

    def _next_pack(self) -> list[Attempt]:
        """Take the next trials that can be stacked; those that come between wait here."""
        if self._retries:
            return self._retries.pop(0)
        # Workers that are free share what is left.
        left = len(self._taken) + self._study.waiting()
        size = max(1, min(self._pack_size, -(-left // max(1, len(self._pool.free())))))
        ahead = size if self._file.method == "bayes" else _LOOK_AHEAD * size
        attempts = choose(self._taken, self._key, size) if self._taken else []
        while len(attempts) < size and len(self._taken) < ahead and (attempt := self._study.next()):
            self._taken.append(attempt)
            attempts = choose(self._taken, self._key, size)
        self._taken = [attempt for attempt in self._taken if attempt not in attempts]
        return attempts

    def _key(self, attempt: Attempt) -> str:
        number = attempt.number
        if number not in self._pack_keys:
            try:
                self._pack_keys[number] = self._keys(attempt.values)
            except Unpackable as reason:
                self._pack_keys[number], self._alone[number] = f"alone {number}", str(reason)
            except UserError:  # told when the trial runs
                self._pack_keys[number] = f"wrong {number}"
        return self._pack_keys[number]

    def _parse(self, values: dict[str, Any]) -> PackKey:
        with TemporaryDirectory() as place:
            json_file = Path(place) / "args.json"
            json_file.write_text(json.dumps(values), encoding="utf-8")
            return pack_key(plain(parse(trial_arguments(self._file, values, self._folder / "0", json_file))))

    def _begin(self, attempt: Attempt) -> dict[str, Any]:
        """Lay down a trial's folder where there is none, and return what a worker needs of it."""
        if attempt.number not in self.trials:
            folder = trial_folder(self._folder, attempt.number)
            status = lay_down_trial(folder, attempt.values)
            self.trials[attempt.number] = Trial(attempt.number, folder, status)
        trial = self.trials[attempt.number]
        trial.handle, trial.status.state, trial.status.reason = attempt.handle, "running", None
        return self._order(trial, attempt.values)

    def _order(self, trial: Trial, values: dict[str, Any]) -> dict[str, Any]:
        arguments = trial_arguments(self._file, values, trial.folder, trial.folder / "args.json")
        if (trial.folder / "config.yaml").exists():
            arguments += ["--ckpt_path", "last"]
        order = {"number": trial.number, "log": str(trial.folder / "log.txt"), "arguments": arguments}
        return order | {"alone": self._alone.get(trial.number)}

    def _retried(self, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Let a pack whose worker died go on in halves, so that the one that killed it fails alone."""
        died: dict[int, list[Attempt]] = {}
        for event in events:
            trial = self.trials[event["number"]]
            over = (_status(trial.folder) or trial.status).state in OVER
            if event["event"] == "died" and trial.pack > 1 and not over and not self._signals:
                died.setdefault(event["place"], []).append(self._attempts[event["number"]])
            else:
                yield event
        for attempts in died.values():
            half = (len(attempts) + 1) // 2
            self._retries += [part for part in (attempts[:half], attempts[half:]) if part]
            self._display.say(f"The worker of {len(attempts)} trials died; they go on in parts.")

    def _end(self, event: dict[str, Any]) -> None:
        """Note what a worker says about a trial's end."""
        trial = self.trials[event["number"]]
        told = trial.status.state in OVER
        status = _status(trial.folder) or trial.status
        code, error = event.get("code"), event["error"]
        if status.state in ("queued", "running") and self._signals and code in (None, 130):
            trial.status = status
        else:
            if status.state in ("queued", "running"):
                status.state = "failed"
                status.reason = (
                    error or last_words(trial.folder / "log.txt") or f"it ended with exit code {code}"
                )
                status.write(trial.folder)
            trial.status = status
            trial.look_back(self._file.metric)
            self._study.end(trial.handle, status.state, trial.best)
            if code == 1 and status.state == "failed":
                # An error on a GPU breaks all that follows in its process.
                self._pool.retire(event["place"])
        if not told:
            self._display.changed(trial, self.trials)

    def _look(self) -> None:
        for trial in self.trials.values():
            if trial.status.state == "running":
                trial.look(self._file.metric)
                if trial.status.state in OVER:  # others of its pack go on
                    trial.look_back(self._file.metric)
                    self._display.changed(trial, self.trials)
        self._display.refresh(self.trials, self._study.waiting())

    def _heed_signals(self) -> None:
        if self._signals > self._heeded:
            self._heeded = self._signals
            if self._heeded == 1:
                self._display.say("Stopping: running trials are saved; once more kills them.")
                self._pool.interrupt()
            else:
                self._pool.kill()

    @contextmanager
    def _receiving_signals(self) -> Iterator[None]:
        def receive(number: int, frame: FrameType | None) -> None:
            self._signals += 1

        previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def take_up(folder: Path, study: Study, file: SweepFile) -> None:
    """Let trials wait again that failed, or were running when the sweep was left.

    Args:
        folder: the sweep's folder.
        study: its state.
        file: the sweep file.

    Raises:
        UserError: the folder cannot be written.
    """
    for number, handle in list(study.unfinished()):
        path = trial_folder(folder, number)
        status = _status(path)
        if handle is not None:
            if status and status.state in OVER:
                trial = Trial(number, path, status)
                trial.look_back(file.metric)
                study.end(handle, status.state, trial.best)
                continue
            study.end(handle, "failed", None)
        study.again(number)
        with disk_errors(folder):
            requeue(path, status)


def _status(folder: Path) -> Status | None:
    try:
        return Status.read(folder)
    except UserError:
        return None
