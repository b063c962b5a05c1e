"""metrics.csv: every logged row of a run, in a file of our own."""

import csv
import errno
import io
import math
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from lit_seq.processes import rank
from lit_seq.run_folder import replacing


class MetricsFile(Logger):
    """Lightning logger that writes FOLDER/metrics.csv.

    Columns are `step`, `epoch`, then metrics in the order of their first appearance; a row is written for
    each time that something was logged. Whole rows reach the disk at every `flush`.

    Args:
        folder: the run folder.
        resume_after: the last step that a resumed run keeps; rows behind it are dropped, as they will be
            logged again. None starts a new file.
        watched: a metric whose values are kept.

    Attributes:
        latest: the latest value of each metric.
        validations: the values of each metric of validation, those before a resumption included.
        last_step: step of the row that was logged last.
        watched_values: finite values of the watched metric, those before a resumption included.
    """

    def __init__(self, folder: Path, resume_after: int | None = None, watched: str | None = None) -> None:
        super().__init__()
        self._path = folder / "metrics.csv"
        self._columns = ["step", "epoch"]
        self._pending: list[dict[str, Any]] = []
        self._last: dict[str, Any] | None = None
        self.latest: dict[str, float] = {}
        self.validations: dict[str, list[float]] = {}
        self.last_step: int | None = None
        self._watched = watched
        self.watched_values: list[float] = []
        if rank() != 0:
            return
        if resume_after is None:
            self._path.unlink(missing_ok=True)
        elif self._path.exists():
            self._keep(resume_after)

    @property
    def name(self) -> str:
        """Lightning asks every logger for a name."""
        return self._path.parent.name

    @property
    def version(self) -> str:
        """Lightning asks every logger for a version."""
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> "MetricsFile":
        """The logger itself."""
        return self

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add a row; a row that repeats the one before it is dropped."""
        row = {"step": step, **metrics}
        if row == self._last:
            return
        self._last = row
        self.last_step = step
        self._take({name: value for name, value in metrics.items() if name != "epoch"})
        # Every process decides by the latest metrics; one writes them.
        if rank() == 0:
            self._pending.append(row)

    def latest_validation(self) -> dict[str, Tensor]:
        """Return the latest metrics of validation, as callbacks see them in `trainer.callback_metrics`."""
        return {
            name: torch.tensor(value, dtype=torch.float64)
            for name, value in self.latest.items()
            if name.startswith("val/")
        }

    @rank_zero_only
    def flush(self, durably: bool = False) -> None:
        """Write all rows logged so far.

        Args:
            durably: they outlast a loss of power, as the checkpoint does that says they are there.

        Raises:
            OSError: the disk is full, for example; the file is as it was then.
        """
        new = [name for row in self._pending for name in row if name not in self._columns]
        if new or (self._pending and not self._path.exists()):
            columns = [*self._columns, *dict.fromkeys(new)]
            self._replace(columns, self._rows() + self._pending)
            self._columns = columns
        elif self._pending:
            self._append()
        self._pending = []
        if durably and self._path.exists():
            with self._path.open("rb") as file:
                os.fsync(file.fileno())

    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.flush()

    def _rows(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _append(self) -> None:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns).writerows(self._pending)
        with self._path.open("ab", buffering=0) as file:
            whole, lines = file.tell(), text.getvalue().encode()
            try:
                if file.write(lines) < len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            except OSError:
                file.truncate(whole)
                raise

    def _replace(self, columns: list[str], rows: list[dict[str, Any]]) -> None:
        with replacing(self._path) as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def _keep(self, last_step: int) -> None:
        rows: list[dict[str, Any]] = []
        for row in self._rows():
            step = int(row["step"]) if row["step"].isdigit() else math.inf
            # A row that is cut short, which comes behind the others, may seem to be of an early step.
            if (int(rows[-1]["step"]) if rows else 0) <= step <= last_step:
                rows.append(row)
        self._columns += [name for name in (rows[0] if rows else {}) if name not in self._columns]
        for row in rows:
            self._take({n: float(value) for n, value in row.items() if value and n not in ("step", "epoch")})
        self._replace(self._columns, rows)

    def _take(self, metrics: dict[str, float]) -> None:
        self.latest |= metrics
        for name in [name for name in metrics if name.startswith("val/")]:
            self.validations.setdefault(name, []).append(metrics[name])
        if self._watched in metrics and math.isfinite(metrics[self._watched]):
            self.watched_values.append(metrics[self._watched])
