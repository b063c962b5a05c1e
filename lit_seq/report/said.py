"""What trials said at stages of their training."""

from collections.abc import Mapping
from dataclasses import dataclass

from lit_seq.report.configurations import Configuration
from lit_seq.report.plan import Goal
from lit_seq.report.read import Run
from lit_seq.report.score import Score
from lit_seq.samples import Sample


@dataclass
class Moment:
    """What a trial said at one moment.

    Attributes:
        name: start, middle or end.
        step: optimiser steps done.
        samples: what it said.
    """

    name: str
    step: int
    samples: list[Sample]


@dataclass
class Said:
    """What the best trial of a configuration said, by time.

    Attributes:
        label: the configuration.
        trial: name of the trial.
        seed: its seed.
        moments: the moments, each with what was said there last.
    """

    label: str
    trial: str
    seed: int | None
    moments: list[Moment]


def said(
    configuration: Configuration, scores: Mapping[int, Score], counted: set[int], goal: Goal
) -> Said | None:
    """Return what the configuration's best trial with samples said, a finished one if possible."""
    sign = 1 if goal == "minimize" else -1

    def rank(run: Run) -> tuple[bool, bool, float]:
        known = scores.get(id(run))
        return id(run) not in counted, known is None, 0.0 if known is None else sign * known.best

    speakers = [run for run in configuration.runs if run.samples]
    if not speakers:
        return None
    run = min(speakers, key=rank)
    moments: dict[str, Moment] = {}
    for seen in sorted(run.samples, key=lambda seen: seen.step):
        name = seen.moment or str(seen.step)
        if name not in moments or moments[name].step != seen.step:
            moments[name] = Moment(name, seen.step, [])
        moments[name].samples.append(seen.sample)
    return Said(configuration.label, run.name, run.seed, list(moments.values()))
