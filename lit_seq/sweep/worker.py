"""A worker: one process on one device that runs trial after trial, so that torch is imported once.

It reads tasks from its standard input, a JSON object a line:

    {"trials": [{"number": 7, "log": "…/log.txt", "arguments": ["fit", …], "stacked": true,
    "alone": null}, …]}

and answers on its standard output, a JSON object a line: {"event": "ready"} once, and after each trial
{"event": "ended", "number": 7, "code": 0, "error": null}, where code is that of `lit_seq.cli.main`. Several
trials of a task train as a pack, and so does a single one that is "stacked"; "alone" says why one does not.
What a trial prints goes to its log, what a pack prints to its first trial's. {"stop": "runs/abc",
"reason": …} ends the trial in that folder, and no other of its pack; {"lease": …} says until when the worker
may work (`lit_seq.sweep.lease`). SIGINT asks the running trials to save and stop. When the input ends,
because the driver is done with it or dead, the worker stops in the same way.
"""

import gc
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lit_seq.allocator import keep_freed_memory
from lit_seq.sweep.lease import Watchdog

# A trial that has not saved by then never will.
_GRACE = 60.0


class Worker:
    """Runs the tasks that its driver sends.

    Args:
        tasks: where tasks come from.
        answers: where answers go.
    """

    def __init__(self, tasks: IO[str], answers: IO[str]) -> None:
        self._tasks, self._answers = tasks, answers
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._busy = self._ended = False
        self._watchdog = Watchdog(lambda: self._busy)

    def run(self) -> None:
        """Work until the input ends."""
        self._watchdog.start()
        threading.Thread(target=self._read, daemon=True).start()
        import lit_seq.configuration  # noqa: F401  what takes seconds to import is there when a task comes

        self._answer(event="ready")
        while (task := self._queue.get()) is not None:
            self._busy = True
            if self._ended:
                return
            codes, error = _run_trials(task["trials"])
            self._busy = False
            for trial, code in zip(task["trials"], codes, strict=True):
                self._answer(event="ended", number=trial["number"], code=code, error=error)

    def _read(self) -> None:
        for line in self._tasks:
            message = json.loads(line)
            if "stop" in message:
                from lit_seq.training.wandb_stop import ask_to_stop

                ask_to_stop(Path(message["stop"]), message["reason"])
            elif "lease" in message:
                self._watchdog.deadline = message["lease"]
            else:
                self._queue.put(message)
        self._ended = True
        self._queue.put(None)
        if self._busy:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_GRACE)
        os._exit(1)

    def _answer(self, **content: Any) -> None:
        self._answers.write(json.dumps(content) + "\n")
        self._answers.flush()


def _run_trials(trials: list[dict[str, Any]]) -> tuple[list[int], str | None]:
    """Run trials, as a pack if there are several; return their exit codes and what escaped."""
    from lit_seq.cli import INTERRUPTED
    from lit_seq.packing.run import run_pack

    # Lightning leaves SIGINT ignored behind an interrupted run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logs = [trial["log"] for trial in trials]
    with _printing_to(logs[0]):
        try:
            if trials[0]["alone"]:
                print(f"This trial is in no pack: {trials[0]['alone']}.", file=sys.stderr)
            commands, stacked = [trial["arguments"] for trial in trials], trials[0].get("stacked", False)
            return run_pack(commands, lambda i: _printing_to(logs[i]), stacked), None
        except KeyboardInterrupt:
            return [INTERRUPTED] * len(trials), None
        except BaseException as error:
            traceback.print_exc()
            return [1] * len(trials), f"{type(error).__name__}: {' '.join(str(error).split())}"
        finally:
            gc.collect()


@contextmanager
def _printing_to(log: str) -> Iterator[None]:
    """Let everything that is printed in this process go to a file."""
    before = os.dup(1), os.dup(2)
    try:
        _point(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), 1, 2)
        yield
    finally:
        for handle, stream in zip(before, (1, 2), strict=True):
            _point(handle, stream)


def _point(handle: int, *streams: int) -> None:
    """Let standard streams lead where `handle` does, and close it."""
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in streams:
        os.dup2(handle, stream)
    os.close(handle)


def main() -> None:
    """Run as `python -m lit_seq.sweep.worker`."""
    # Standard streams belong to the trials, and to the processes that they start.
    tasks = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    keep_freed_memory()
    # A shell's background job starts with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        Worker(tasks, answers).run()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)


if __name__ == "__main__":
    main()
