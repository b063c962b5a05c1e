"""The processes that train one model together (distributed data parallel)."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch import distributed

from lit_seq.errors import UserError
from lit_seq.processes import grouped
from lit_seq.training.checkpoints import Interrupted, Stopped
from lit_seq.training.record import Diverged

PATIENCE = 20.0
"""Seconds that a process has to end behind the others."""

_TOGETHER = (Diverged, Interrupted, Stopped)
"""What all processes end by at the same step."""

_ENDS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (UserError, *_TOGETHER)}
_HERE = "127.0.0.1"
_AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE"
_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "RANK", "WORLD_SIZE", _AGENT_STORE)
_PARENT = "LIT_SEQ_PARENT"
_FAILURE = "lit_seq/failure"


class Failed(Exception):
    """Another process failed; what it had to say has been said."""


class Processes:
    """While entered, the processes of a run start, and end together.

    Where neither torchrun nor SLURM has started them, the process with rank 0 starts the others, on its
    machine and by the same command line. Only it speaks and writes. An error in one of them is the error of
    all: the one that has it leaves word in the group's store and goes; the others, which wait for it in a
    collective operation, are told by the closed connection to look there.

    Args:
        trainer: the run's.
        arguments: the command line behind `lit-seq`.
        lost: called in another thread with a reason where a process ended before they all had met.
    """

    def __init__(self, trainer: L.Trainer, arguments: Sequence[str], lost: Callable[[str], None]) -> None:
        self._trainer, self._arguments, self._lost = trainer, arguments, lost
        self._others: list[subprocess.Popen[bytes]] = []
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  the others write to it until they end
        self._ended = threading.Event()

    def __enter__(self) -> None:
        # Even for one process Lightning leaves variables behind by which the next run would take itself for
        # a part of this one.
        self._environment = {name: os.environ.get(name) for name in _VARIABLES}
        self._grouped = grouped()
        if self._trainer.world_size == 1:
            return
        environment: Any = self._trainer.strategy.cluster_environment  # type: ignore[attr-defined]
        if not environment.creates_processes_externally:
            self._start()
            threading.Thread(target=self._watch, daemon=True).start()
        elif _PARENT in os.environ:
            threading.Thread(target=_end_with, args=(int(os.environ[_PARENT]),), daemon=True).start()
        if self._trainer.global_rank:
            # Dropout differs between sequences, whichever process has them.
            torch.manual_seed(torch.initial_seed() + self._trainer.global_rank)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._ended.set()
        try:
            if self._trainer.world_size == 1:
                return
            if self._trainer.global_rank:
                self._leave(error)
            elif error is not None:
                self._raise(error)
        finally:
            self._join()

    def _start(self) -> None:
        """Start the processes 1, 2, … of this machine."""
        count = self._trainer.world_size
        # A port that is taken at once, not found first: two runs never meet at the same one, whatever
        # MASTER_PORT they were started with.
        self._store = distributed.TCPStore(_HERE, 0, is_master=True, wait_for_workers=False)
        # Lightning takes LOCAL_RANK for a sign that processes have been started.
        common = {
            "MASTER_ADDR": _HERE,
            "MASTER_PORT": str(self._store.port),
            _AGENT_STORE: "True",
            "NODE_RANK": "0",
            "WORLD_SIZE": str(count),
        }
        os.environ.update(common, LOCAL_RANK="0")
        for rank in range(1, count):
            own = {
                "LOCAL_RANK": str(rank),
                _PARENT: str(os.getpid()),
                "PYTHONPATH": os.pathsep.join(sys.path),
            }
            command = [sys.executable, "-P", "-m", "lit_seq", *self._arguments]
            self._others.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=self._said,
                    stderr=self._said,
                )
            )

    def _watch(self) -> None:
        """End this process where another one is gone, and nothing else will tell."""
        while not self._ended.wait(0.5):
            if (reason := self._gone()) and not self._ended.wait(PATIENCE):
                self._print_said()
                self._lost(reason)
                self._kill()
                os._exit(1)

    def _gone(self) -> str | None:
        """Return which process that was started here ended by itself, and how."""
        for rank, other in enumerate(self._others, 1):
            if code := other.poll():
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                return f"process {rank} of {len(self._others) + 1} ended {how}"
        return None

    def _leave(self, error: BaseException | None) -> None:
        """End quietly, if the first process can say why."""
        if error is not None:
            told = _first_failure(error, self._trainer.global_rank) is not None
            # torchrun and srun would kill rank 0, which has still to write what happened, at another code.
            # In NCCL's operations it may wait for ever, though, unless it ends for the same reason.
            comes = isinstance(error, _TOGETHER) or (told and distributed.get_backend() == "gloo")
            raise SystemExit(0 if comes else 1)

    def _raise(self, error: BaseException) -> None:
        """Raise what went wrong first, wherever it was."""
        failure = _first_failure(error, 0)
        if failure is None or failure[0] == "0":
            deadline = time.monotonic() + 1
            while isinstance(error, RuntimeError) and self._others and time.monotonic() < deadline:
                if reason := self._gone():
                    self._print_said()
                    raise Failed(reason) from None
                time.sleep(0.05)
            return
        rank, kind, text, told = failure
        if kind in _ENDS:
            raise _ENDS[kind](text) from None
        print(told, file=sys.stderr)
        raise Failed(f"process {rank}: {text}") from None

    def _join(self) -> None:
        """Wait for the others, and put everything back."""
        if grouped() and not self._grouped:
            distributed.destroy_process_group()
        deadline = time.monotonic() + PATIENCE
        for other in self._others:
            try:
                other.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                other.kill()
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _kill(self) -> None:
        for other in self._others:
            other.kill()

    def _print_said(self) -> None:
        self._said.seek(0)
        print(self._said.read().decode(errors="replace")[-4000:], end="", file=sys.stderr)


def _first_failure(error: BaseException, own_rank: int) -> list[str] | None:
    """Leave word of an error in the group's store; return the first one: rank, kind, sentence, traceback."""
    if not grouped():
        return None
    text = " ".join(str(error).split()) or type(error).__name__
    kind = type(error).__name__
    said = text if kind in _ENDS else f"{kind}: {text}"
    told = "".join(traceback.format_exception(error))
    try:
        store = distributed.distributed_c10d._get_default_store()
        first = store.compare_set(_FAILURE, "", "\0".join([str(own_rank), kind, said, told]))
    except (RuntimeError, ValueError):
        return None
    return first.decode().split("\0", 3)


def _end_with(parent: int) -> None:
    """End when the process that started this one is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
