"""The driver's side of its workers: one process a device, replaced when it dies."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from lit_seq.errors import UserError
from lit_seq.sweep.environment import cores

_PATIENCE = 60.0


class WorkerProcess:
    """One worker, as its driver sees it.

    Args:
        variables: environment variables that bind it to its device.
        log: where it writes what belongs to no trial.
        lock: the sweep's lock, held as long as the worker lives.

    Attributes:
        task: numbers of the trials that it has and that have not ended.
        ready: whether it has come up.
        retired: whether it is to get no further task.
    """

    def __init__(self, variables: dict[str, str], log: Path, lock: IO[str]) -> None:
        self.task: list[int] = []
        self.ready = self.retired = False
        self._rest = b""
        # What the driver can import, such as a user's own cells, the worker must find as well.
        path = os.pathsep.join(filter(None, sys.path))
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lit_seq.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": path, **variables},
                pass_fds=(lock.fileno(),),
                process_group=0,
            )
        assert self._process.stdout is not None
        self.answers = self._process.stdout
        os.set_blocking(self.answers.fileno(), False)

    def give(self, trials: list[dict[str, Any]], deadline: float | None) -> None:
        """Send a task; see `lit_seq.sweep.worker` for a trial's keys."""
        self.task = [trial["number"] for trial in trials]
        self.renew(deadline)
        self._send({"trials": trials})

    def renew(self, deadline: float | None) -> None:
        """Say until when the worker may work, by `lit_seq.sweep.lease.clock`."""
        self._send({"lease": deadline})

    def stop_trial(self, folder: Path, reason: str) -> None:
        """Ask the trial in a folder to save and stop, and no other of its pack."""
        self._send({"stop": str(folder), "reason": reason})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # a dead worker is found by `death`
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def read(self) -> list[dict[str, Any]]:
        """Return the answers that have come."""
        while chunk := self.answers.read(65536):
            self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        events = [json.loads(line) for line in lines]
        for event in events:
            if event["event"] == "ready":
                self.ready = True
            else:
                self.task.remove(event["number"])
        return [event for event in events if event["event"] == "ended"]

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, negative for a signal; None while it lives."""
        return self._process.poll()

    def death(self) -> str | None:
        """Return what the worker died of; None while it lives."""
        code = self.exit_code
        if code is None:
            return None
        if code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"its worker was killed by {signal.Signals(-code).name}{hint}"
        return f"its worker ended with exit code {code}"

    def interrupt(self) -> None:
        """Ask the running trial to save and stop."""
        self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End it, when it has nothing to do."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def join(self, seconds: float) -> None:
        """Wait for its end, and force it in the end."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, with all processes that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def device_variables(workers: int | None) -> list[dict[str, str]]:
    """Return for each worker the environment variables that bind it to its device.

    Args:
        workers: how many; None for one a visible GPU, or a single one without a GPU.
    """
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    gpus = names[: torch.cuda.device_count()]
    count = workers or len(gpus) or 1
    if gpus:
        return [{"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} for index in range(count)]
    threads = str(max(1, cores() // count))
    return [{"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)} for _ in range(count)]


class Pool:
    """All workers of a sweep.

    Args:
        variables: see `device_variables`.
        log: where workers write what belongs to no trial.
        lock: the sweep's lock.
    """

    def __init__(self, variables: list[dict[str, str]], log: Path, lock: IO[str]) -> None:
        self._variables, self._log, self._lock = variables, log, lock
        self._workers: dict[int, WorkerProcess] = {}
        self._retired: list[WorkerProcess] = []

    @property
    def places(self) -> int:
        """How many workers there can be."""
        return len(self._variables)

    @property
    def busy(self) -> bool:
        """Whether a worker has a task."""
        return any(worker.task for worker in self._workers.values())

    def free(self) -> list[int]:
        """Return the places where a task could start."""
        return [i for i in range(len(self._variables)) if i not in self._workers or not self._workers[i].task]

    def start(self) -> None:
        """Start the workers that are not there: they import for seconds before they can work."""
        for place in range(len(self._variables)):
            self._worker(place)

    def give(self, place: int, trials: list[dict[str, Any]], deadline: float | None = None) -> None:
        """Start a task, and the worker for it where there is none.

        Args:
            place: where.
            trials: see `lit_seq.sweep.worker`.
            deadline: until when they may be worked on, unless `renew` is called; None for ever.
        """
        self._worker(place).give(trials, deadline)

    def renew(self, deadline: float) -> None:
        """Let the workers go on until another deadline."""
        for worker in self._workers.values():
            worker.renew(deadline)

    def drop(self, numbers: Collection[int]) -> set[int]:
        """End the workers that have any of these trials at once; return all trials that they had."""
        dropped: set[int] = set()
        for place, worker in list(self._workers.items()):
            if not set(worker.task).isdisjoint(numbers):
                dropped |= set(worker.task)
                worker.kill()
                del self._workers[place]
        return dropped

    def _worker(self, place: int) -> WorkerProcess:
        worker = self._workers.get(place)
        if worker and worker.retired:
            worker.stop()
            self._retired.append(worker)
        if worker is None or worker.retired:
            worker = self._workers[place] = WorkerProcess(self._variables[place], self._log, self._lock)
        return worker

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """Wait for answers.

        Returns:
            The workers' answers; for a dead worker's trials {"event": "died", "number": …, "error": reason}.
            Each has the worker's "place".

        Raises:
            UserError: workers cannot start at all.
        """
        select.select([worker.answers for worker in self._workers.values()], [], [], seconds)
        events = []
        for place, worker in list(self._workers.items()):
            death = worker.death()
            events += [{**event, "place": place} for event in worker.read()]
            if death is None:
                continue
            del self._workers[place]
            if not worker.ready and worker.exit_code in (1, 2):
                raise UserError(f"A worker could not start: {death}; {self._log} says more.")
            died = {"event": "died", "error": death, "place": place}
            events += [{**died, "number": number} for number in worker.task]
        return events

    def stop_trial(self, number: int, folder: Path, reason: str) -> None:
        """Ask a trial to save and stop, and no other of its pack."""
        for worker in self._workers.values():
            if number in worker.task:
                worker.stop_trial(folder, reason)

    def interrupt(self) -> None:
        """Ask all running trials to save and stop."""
        for worker in self._workers.values():
            worker.interrupt()

    def retire(self, place: int) -> None:
        """Let the next task at a place get a new worker."""
        if place in self._workers:
            self._workers[place].retired = True

    def close(self) -> None:
        """End the workers; those at work save first."""
        for worker in self._workers.values():
            if worker.ready or worker.task:
                worker.stop()
            else:
                worker.kill()
        for worker in [*self._workers.values(), *self._retired]:
            worker.join(_PATIENCE)
        self._workers.clear()

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()
