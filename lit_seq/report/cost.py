"""What the trials cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from lit_seq.report.configurations import Configuration


@dataclass
class Cost:
    """Time that a configuration took, at all of its settings and whatever became of its trials.

    Attributes:
        label: the configuration.
        task: what it learnt; None where all learn the same.
        trials: number of its trials.
        seconds: training time in all, of packed trials their share of the pack's.
        lost: seconds of these that went into trials that did not finish.
        steps: optimiser steps in all.
    """

    label: str
    task: str | None
    trials: int
    seconds: float
    lost: float
    steps: int


def cost(compared: Sequence[Configuration], task: str | None) -> list[Cost]:
    """Add up what was spent, the dearest first."""
    spent = []
    for configuration in compared:
        statuses = [run.status for run in configuration.runs]
        spent.append(
            Cost(
                configuration.label,
                task,
                len(statuses),
                sum(status.share for status in statuses),
                sum(status.share for status in statuses if status.state in ("stopped", "diverged", "failed")),
                sum(status.step for status in statuses),
            )
        )
    return sorted(spent, key=lambda one: -one.seconds)
