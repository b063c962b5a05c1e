"""Trials that are asked to stop by W&B: by the sweep's server, or by the stop button of a run's page."""

from pathlib import Path

import lightning as L

from lit_seq.training.checkpoints import Checkpoints

# What asks is another thread: of W&B's client, or a worker's that reads what its driver says.
_asked: dict[Path, str] = {}


def ask_to_stop(folder: Path, reason: str) -> None:
    """Let the run in a folder of this process end at the next point where a checkpoint is possible.

    Args:
        folder: the run folder; the run may not have begun yet.
        reason: why, for status.json.
    """
    _asked.setdefault(folder.resolve(), reason)


def asked_to_stop(folder: Path) -> str | None:
    """Return why the run in a folder is to stop; None if it may go on."""
    # Looked up at every step of every trial.
    return _asked.get(folder.resolve()) if _asked else None


def forget(folder: Path) -> None:
    """Take a request back: the run has ended, and may be resumed by hand."""
    _asked.pop(folder.resolve(), None)


class StopOnRequest(L.Callback):
    """Ends a run that is asked to stop.

    Args:
        folder: the run folder.
        checkpoints: what ends the run.
    """

    def __init__(self, folder: Path, checkpoints: Checkpoints) -> None:
        self._folder, self._checkpoints = folder, checkpoints

    def on_train_batch_end(self, *args: object) -> None:
        """Look whether the run was asked."""
        self._checkpoints.stopped = self._checkpoints.stopped or asked_to_stop(self._folder)
