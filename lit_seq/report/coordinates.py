"""Every trial as a line through its settings, to its score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_seq.report.configurations import Configuration
from lit_seq.report.heat_map import ordered
from lit_seq.report.score import Score


@dataclass
class Traced:
    """One trial.

    Attributes:
        trial: its name.
        values: its settings, by key; a key that it does not have is absent.
        score: what it is judged by; None where it did not count.
        state: its state.
    """

    trial: str
    values: dict[str, Any]
    score: float | None
    state: str


@dataclass
class Coordinates:
    """Trials of one task.

    Attributes:
        task: what was learnt; None where all learn the same.
        keys: the settings that vary, in the order of their axes.
        trials: the trials that have ended.
    """

    task: str | None
    keys: list[str]
    trials: list[Traced]


def coordinates(
    configurations: Sequence[Configuration],
    keys: Sequence[str],
    scores: Mapping[int, Score],
    counted: set[int],
    task: str | None = None,
) -> Coordinates | None:
    """Trace the trials; None where fewer than two of `keys` vary, or fewer than two trials count."""
    varying = [
        key for key in keys if len(ordered([c.values[key] for c in configurations if key in c.values])) > 1
    ]
    traced = [
        Traced(
            run.name,
            {key: configuration.values[key] for key in varying if key in configuration.values},
            scores[id(run)].value if id(run) in counted else None,
            run.status.state,
        )
        for configuration in configurations
        for run in configuration.runs
        if run.status.state not in ("queued", "running")
    ]
    if len(varying) < 2 or sum(one.score is not None for one in traced) < 2:
        return None
    return Coordinates(task, varying, traced)
