"""A trial, as the driver and its display see it."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_seq.errors import UserError
from lit_seq.report.configurations import spelt
from lit_seq.run_folder import Status
from lit_seq.sweep.command_line import fit_arguments
from lit_seq.sweep.file import Metric, SweepFile

OVER = ("finished", "stopped", "diverged")
"""States of trials that are not tried again."""


@dataclass
class Trial:
    """A trial of a sweep.

    Attributes:
        number: its place in the sweep.
        folder: its run folder.
        status: its status.json.
        best: the best value so far of the sweep's metric.
        handle: the study's handle of the attempt that runs.
        pack: how many trials run as one with it, itself included.
    """

    number: int
    folder: Path
    status: Status
    best: float | None = None
    handle: int = -1
    pack: int = 1

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what the trial got of the sweep's parameters; of a value that is a mapping, its entries."""
        own, got = tuple(f"{name}." for name in names), self.status.overrides.items()
        return spelt({key: value for key, value in got if f"{key}.".startswith(own)})

    def look(self, metric: Metric | None) -> None:
        """Read status.json of a running trial anew; a moment without one, or a failure, changes nothing.

        A trial whose pack failed may yet run alone.
        """
        try:
            status = Status.read(self.folder)
        except UserError:
            return
        if status.state in ("running", *OVER):
            self.status = status
            self._improve(metric, [status.metrics.get(metric.name)] if metric else [])

    def look_back(self, metric: Metric | None) -> None:
        """Find the best value in metrics.csv."""
        if metric is None:
            return
        try:
            with (self.folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
                values = [row.get(metric.name) for row in csv.DictReader(file)]
        except (OSError, ValueError, csv.Error):
            return
        self.best = None
        self._improve(metric, [*values, self.status.metrics.get(metric.name)])

    def seconds_left(self) -> float | None:
        """Estimate the time to the trial's end from its pace so far."""
        status = self.status
        if not status.step or not status.max_steps or not status.seconds:
            return None
        return max(0.0, (status.max_steps - status.step) * status.seconds / status.step)

    def _improve(self, metric: Metric | None, values: list[Any]) -> None:
        if metric is not None:
            numbers = [number for value in values if (number := _number(value)) is not None]
            self.best = metric.best(numbers if self.best is None else [*numbers, self.best])


def read_trials(folder: Path, metric: Metric | None) -> dict[int, Trial]:
    """Return the trials in a sweep's folder, by number; those whose status.json is lost are left out.

    Args:
        folder: the sweep's folder.
        metric: the sweep's.
    """
    trials = {}
    for path in sorted((folder / "trials").iterdir()):
        try:
            status = Status.read(path)
        except UserError:
            continue
        trials[int(path.name)] = Trial(int(path.name), path, status)
        trials[int(path.name)].look_back(metric)
    return trials


def trial_arguments(file: SweepFile, values: dict[str, Any], folder: Path, json_file: Path) -> list[str]:
    """Return what stands behind `lit-seq` for a trial.

    Place, name and W&B group come last, so that they count whatever else the command sets.

    Args:
        file: the sweep file.
        values: the trial's.
        folder: the trial's folder, SWEEP/trials/NUMBER.
        json_file: where `values` lie as JSON.
    """
    arguments = fit_arguments(file.command, file.program, values, json_file, str(file.path))
    arguments += ["--runs_dir", str(folder.parent), "--name", folder.name]
    arguments += ["--wandb.group", folder.parent.parent.name]
    for option, value in (("--wandb.project", file.project), ("--wandb.entity", file.entity)):
        arguments += [option, value] if value else []
    if file.metric and file.early_terminate is not None:
        options = {"metric": file.metric.name, "goal": file.metric.goal, **file.early_terminate}
        options["rungs"] = folder.parent.parent / "rungs.jsonl"
        arguments += [f"--hyperband.{name}={_as_option(value)}" for name, value in options.items()]
    return [*arguments, "--trainer.enable_progress_bar", "false"]


def _as_option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def last_words(log: Path) -> str | None:
    """Return the last line of a trial's log."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return None
    return next((line.removeprefix("lit-seq: ") for line in reversed(lines) if line), None)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
