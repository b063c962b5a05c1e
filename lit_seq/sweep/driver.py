"""Runs a sweep's trials on its workers, and keeps its state."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from lit_seq.errors import UserError
from lit_seq.run_folder import Status
from lit_seq.sweep.display import Display
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.folder import disk_errors, lay_down_trial, requeue, trial_folder
from lit_seq.sweep.pool import Pool
from lit_seq.sweep.study import Study, storage_errors
from lit_seq.sweep.trial import Trial, last_words, trial_arguments

_LOOK_EVERY = 1.0


class Driver:
    """Runs what waits in a study.

    Args:
        folder: the sweep's folder.
        file: the sweep file.
        study: the sweep's state.
        pool: the workers.
        display: where the user watches.
    """

    def __init__(self, folder: Path, file: SweepFile, study: Study, pool: Pool, display: Display) -> None:
        self._folder, self._file, self._study, self._pool = folder, file, study, pool
        self._display = display
        self._signals = self._heeded = 0
        self.trials: dict[int, Trial] = {}
        for path in sorted((folder / "trials").iterdir()):
            if status := _status(path):
                trial = self.trials[int(path.name)] = Trial(int(path.name), path, status)
                trial.look_back(file.metric)

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
                    for event in self._pool.wait(0.25):
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
            attempt = self._study.next()
            if attempt is None:
                break
            folder = trial_folder(self._folder, attempt.number)
            if attempt.number not in self.trials:
                status = lay_down_trial(folder, attempt.values)
                self.trials[attempt.number] = Trial(attempt.number, folder, status)
            trial = self.trials[attempt.number]
            trial.handle, trial.status.state, trial.status.reason = attempt.handle, "running", None
            self._pool.give(place, [self._order(trial, attempt.values)])
            self._display.changed(trial, self.trials)
            started = True
        return started

    def _order(self, trial: Trial, values: dict[str, Any]) -> dict[str, Any]:
        arguments = trial_arguments(self._file, values, trial.folder, trial.folder / "args.json")
        if (trial.folder / "checkpoints" / "last.ckpt").exists():
            arguments += ["--ckpt_path", "last"]
        return {"number": trial.number, "log": str(trial.folder / "log.txt"), "arguments": arguments}

    def _end(self, event: dict[str, Any]) -> None:
        """Note what a worker says about a trial's end."""
        trial = self.trials[event["number"]]
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
        self._display.changed(trial, self.trials)

    def _look(self) -> None:
        for trial in self.trials.values():
            if trial.status.state == "running":
                trial.look(self._file.metric)
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
            if status and status.state in ("finished", "stopped", "diverged"):
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
