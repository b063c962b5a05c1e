"""Which settings decide, by functional analysis of variance.

fANOVA fits a random forest to the scores and splits the forest's variance over the space of settings into
parts that each setting explains alone (Hutter, Hoos & Leyton-Brown 2014, "An efficient approach for
assessing hyperparameter importance"). Trials that early stopping let live were chosen for their scores, and
would show settings as harmless that were stopped: sweeps with early stopping are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lit_seq.report.configurations import identity, settings
from lit_seq.report.heat_map import ordered
from lit_seq.report.read import Run
from lit_seq.report.score import Score
from lit_seq.report.table import is_number

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST_TRIALS = 16
MOST_TRIALS = 300
"""Of more trials, so many are drawn: the variances of a larger forest take a minute."""
TREES = 32
"""Of 600 trials with 64 trees no share was more than .02 from that of 300 with 32."""


@dataclass
class Importance:
    """Shares of the variance of the scores.

    Attributes:
        task: what was learnt; None where all learn the same.
        complete: number of complete trials.
        trials: number of these that it is computed from.
        survivors: complete trials left out, as others of their sweep were stopped early.
        incomplete: trials left out, as they did not run to their end.
        shares: for each setting the share that it explains alone, the largest first; empty where the trials
            are too few.
    """

    task: str | None
    complete: int
    trials: int
    survivors: int
    incomplete: int
    shares: dict[str, float]


def importance(
    runs: Sequence[Run], keys: Sequence[str], scores: Mapping[int, Score], task: str | None = None
) -> Importance:
    """Compute the importance of `keys` for the scores of the finished ones of `runs`."""
    stopped = {run.sweep for run in runs if run.status.state == "stopped"}
    finished = [run for run in runs if run.status.state == "finished" and id(run) in scores]
    complete = [run for run in finished if run.sweep not in stopped]
    used = complete
    if len(complete) > MOST_TRIALS:
        drawn = np.random.default_rng(0).choice(len(complete), MOST_TRIALS, replace=False)
        used = [complete[place] for place in sorted(drawn)]
    found = Importance(
        task, len(complete), len(used), len(finished) - len(complete), len(runs) - len(finished), {}
    )
    of_keys = {key: [settings(run).get(key) for run in used] for key in keys}
    varying = {key: values for key, values in of_keys.items() if len(ordered(values)) > 1}
    targets = [scores[id(run)].value for run in used]
    if len(used) >= FEWEST_TRIALS and len(varying) > 1 and len(set(targets)) > 1:
        found.shares = _shares(varying, targets)
    return found


def _shares(values: Mapping[str, list[Any]], targets: list[float]) -> dict[str, float]:
    import optuna

    distributions = {key: _distribution(column) for key, column in values.items()}
    logging = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        for number, target in enumerate(targets):
            row = {
                key: column[number]
                if is_number(column[number]) and _numeric(column)
                else identity(column[number])
                for key, column in values.items()
            }
            study.add_trial(optuna.trial.create_trial(params=row, distributions=distributions, value=target))
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0)
        shares = evaluator.evaluate(study)
    finally:
        optuna.logging.set_verbosity(logging)
    return {key: float(share) for key, share in sorted(shares.items(), key=lambda one: -one[1])}


def _distribution(column: list[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not _numeric(column):
        return CategoricalDistribution([identity(value) for value in ordered(column)])
    low, high = min(column), max(column)
    return FloatDistribution(low, high, log=low > 0 and high / low >= 10)


def _numeric(column: list[Any]) -> bool:
    return all(is_number(value) for value in column)
