"""The list of trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_seq.report.configurations import Configuration
from lit_seq.report.read import Run
from lit_seq.report.score import Score
from lit_seq.report.table import steps_per_second


@dataclass
class Trial:
    """One line of the list of trials.

    Attributes:
        name: the folder's name, with the sweep's where there are several sweeps.
        folder: the run folder.
        label: the configuration it belongs to.
        seed: its seed.
        state: its state.
        reason: why it is there.
        counts: whether it is in its configuration's mean.
        step: optimiser steps done.
        max_steps: optimiser steps asked for.
        score: what it is judged by; None where the metric was never a number.
        seconds: training time, of a packed trial its share of the pack's.
        steps_per_second: optimiser steps per second of training.
        wandb_run_id: id of the W&B run that mirrors it.
        url: its page at W&B, where it was read from there.
    """

    name: str
    folder: Path
    label: str
    seed: int | None
    state: str
    reason: str | None
    counts: bool
    step: int
    max_steps: int | None
    score: Score | None
    seconds: float
    steps_per_second: float | None
    wandb_run_id: str | None
    url: str | None


def trials(
    runs: Sequence[Run],
    configurations: Sequence[Configuration],
    scores: Mapping[int, Score],
    counted: set[int],
    metric: str,
) -> list[Trial]:
    """List all runs, in the order in which they were read."""
    labels = {id(run): c.label for c in configurations for run in c.runs}
    listed = []
    for run in runs:
        status = run.status
        reason = status.reason
        if status.state == "finished" and id(run) not in scores:
            reason = f"It finished, but never logged a number as {metric}."
        listed.append(
            Trial(
                name=run.name,
                folder=run.folder,
                label=labels.get(id(run), "unknown"),
                seed=run.seed,
                state=status.state,
                reason=reason,
                counts=id(run) in counted,
                step=status.step,
                max_steps=status.max_steps,
                score=scores.get(id(run)),
                seconds=status.share,
                steps_per_second=steps_per_second(run),
                wandb_run_id=status.wandb_run_id,
                url=run.url,
            )
        )
    return listed
