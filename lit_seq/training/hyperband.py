"""Hyperband's rule: which trials of a sweep go on.

A trial is compared with the others of its sweep at brackets, numbers of iterations; an iteration is one
logging of the metric. It is what W&B does for `early_terminate: {type: hyperband}`, after Li et al. 2018,
Hyperband, algorithm 1: brackets, threshold and `strict` are those of W&B's open engine
(github.com/wandb/sweeps, hyperband_stopping.py), in which an iteration is a finite value. W&B looks at the
running trials every few minutes; here each trial is judged once at each bracket, when it gets there.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lit_seq.errors import UserError

_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}


@dataclass(frozen=True)
class Hyperband:
    """Stops a trial that is not among the best of its sweep, as `early_terminate` of a W&B sweep file.

    Brackets are at min_iter · eta^k for k = 0, 1, …, or at max_iter / eta^k for k = 1, …, s.

    Attributes:
        rungs: file that the trials of a sweep share; see `lit_seq.training.rungs`.
        metric: what trials are compared by, such as "val/loss".
        goal: which end of `metric` is better.
        min_iter: first bracket, in loggings of `metric`.
        max_iter: loggings of a trial that is never stopped.
        s: how many brackets there are below `max_iter`.
        eta: 1/eta of the trials go on at a bracket.
        strict: compare the value at the bracket, not the best one so far.

    Raises:
        UserError: the values do not go together.
    """

    rungs: Path
    metric: str
    goal: Literal["minimize", "maximize"] = "minimize"
    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3
    strict: bool = False

    def __post_init__(self) -> None:
        """Check that the brackets are given once."""
        if (self.min_iter is None) == (self.max_iter is None):
            given = "both are given" if self.min_iter is not None else "there is neither"
            raise UserError(f"hyperband needs either min_iter or max_iter with s, but {given}.")
        if (self.max_iter is None) != (self.s is None):
            lacking, other = ("s", "max_iter") if self.s is None else ("max_iter", "s")
            raise UserError(
                f"hyperband has {other}, but lacks {lacking}: brackets are at max_iter / eta^1…s."
            )
        for name in ("min_iter", "max_iter", "s"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"hyperband's {name} must be at least 1, not {value}.")
        if not 1 < self.eta < math.inf:
            raise UserError(f"hyperband's eta must be above 1, not {self.eta}: 1/eta of the trials go on.")
        if self.max_iter is not None and self.max_iter / self.eta < 1:
            raise UserError(f"hyperband has no bracket: max_iter / eta is {self.max_iter / self.eta:.3g}.")

    def bracket(self, iterations: int) -> int | None:
        """Return the last bracket that is reached after so many iterations."""
        return max((bracket for bracket in self._brackets(iterations) if bracket <= iterations), default=None)

    def verdict(self, history: Sequence[float], bracket: int, values: Sequence[float]) -> str | None:
        """Say why a trial stops at a bracket, or return None if it goes on.

        Args:
            history: the trial's finite values of the metric.
            bracket: a bracket that it has reached.
            values: those of all trials that have reached the bracket, at the bracket, this one's included.
        """
        at_best = "" if self.strict else " at best"
        sign = 1 if self.goal == "minimize" else -1
        threshold = sorted(values, key=lambda value: sign * value)[int(len(values) / self.eta)]
        best = min(history[:bracket], key=lambda value: sign * value)
        own = history[bracket - 1] if self.strict else best
        if sign * own <= sign * threshold:
            return None
        part = _PARTS.get(int(self.eta)) if self.eta == int(self.eta) else None
        return (
            f"stopped by hyperband at iteration {bracket}: {self.metric} {own:.4g}{at_best}, "
            f"the best {part or f'1/{self.eta:g}'} of {len(values)} trials reaches {threshold:.4g}"
        )

    def _brackets(self, iterations: int) -> Iterator[int]:
        if self.max_iter is not None and self.s is not None:
            at, left = self.max_iter / self.eta, self.s
            while at >= 1 and left:
                yield int(at)
                at, left = at / self.eta, left - 1
        elif self.min_iter is not None:
            at = self.min_iter
            while at < iterations + 1:
                yield int(at)
                at *= self.eta
