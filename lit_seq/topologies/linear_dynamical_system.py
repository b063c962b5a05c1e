"""A linear dynamical system, by the Kalman filter."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lit_seq.cores import CoreState
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.samples import Sample, Series, Statement
from lit_seq.topologies.gaussian_mixture import GaussianMixture
from lit_seq.topologies.kalman import (
    Belief,
    Filtered,
    LinearGaussian,
    forecast,
    kalman_filter,
    kalman_smoother,
)
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.series_model import SeriesModel

SMALLEST_FACTOR = 1e-3
"""Least of what is on the diagonal of a factor, in the data's standard deviations: a series without noise
would have an infinite density."""

DECAY = 0.9
"""Modulus of A's eigenvalues at first."""


class LinearDynamicalSystem(SeriesModel):
    """A linear dynamical system: the recurrent network that is linear, with noise in state and output.

        z_{t+1} = A z_t + w_t,    w_t ~ N(0, Q)
        x_t     = C z_t + d + v_t,    v_t ~ N(0, R),    z_1 ~ N(m, P)

    What is held of z_t after the past is normal, and the Kalman filter finds it exactly
    (`lit_seq.topologies.kalman`); so likelihood and bands are exact, too. Trained by gradient descent on the
    likelihood. The smoother says what is held of the past when all of it is known.

    At first A is 0.9 times a random orthogonal matrix, and Q and P keep the state at a deviation of 1.

    Loss and metrics are those of `lit_seq.topologies.series_model.SeriesModel`.

    Attributes:
        transition: A, (state_size, state_size).
        output: C, (values, state_size), drawn from N(0, 1 / state_size).
        offset: d, (values,).
        initial_mean: m, (state_size,).
        transition_root: of Q: the triangular factor, its diagonal as a logarithm; (state_size, state_size).
        output_root: of R, (values, values).
        initial_root: of P, (state_size, state_size).

    Args:
        task: what the data offers; linked from `--data` on the command line.
        state_size: numbers in the state.
        band: part of the futures that shall lie in the band, above 0 and below 1.
        season: steps after which the series about repeats itself, in the forecast that `skill` compares with;
            1: it stays where it was.
    """

    def __init__(
        self, task: Task | dict[str, Any], state_size: int = 8, band: float = 0.9, season: int = 1
    ) -> None:
        super().__init__(task, band, season, state_size=state_size)
        if state_size < 1:
            raise UserError(f"LinearDynamicalSystem: state_size is {state_size}; it must be at least 1.")
        values = self.task.input_size
        self.transition = nn.Parameter(DECAY * nn.init.orthogonal_(torch.empty(state_size, state_size)))
        self.output = nn.Parameter(torch.randn(values, state_size) / math.sqrt(state_size))
        self.offset = nn.Parameter(torch.zeros(values))
        self.initial_mean = nn.Parameter(torch.zeros(state_size))
        self.transition_root = nn.Parameter(torch.eye(state_size) * math.log(math.sqrt(1 - DECAY**2)))
        self.output_root = nn.Parameter(torch.eye(values) * math.log(0.5))
        self.initial_root = nn.Parameter(torch.zeros(state_size, state_size))

    def system(self) -> LinearGaussian:
        """Return A, C and the factors of Q and R."""
        return LinearGaussian(
            self.transition, self.output, _factor(self.transition_root), _factor(self.output_root)
        )

    def initial(self, batch: int) -> Belief:
        """Return what is held of z_1 before anything is seen."""
        return Belief(self.initial_mean.expand(batch, -1), _factor(self.initial_root))

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return the loss of one batch; of held-out data also how good a forecast is."""
        past, horizon = batch.inputs.shape[1], batch.targets.shape[1]
        filtered = self._filter(self.whole(batch))
        means = {"loss": -filtered.log_densities[past:].mean() / self.task.target_size}
        if not self.training:
            known = Belief(filtered.means[past], filtered.factors[past])
            means |= self.scores(self._run_free(known, horizon), batch)
        return Measured(means, torch.tensor(batch.targets.numel()))

    def forecast(self, batch: Batch) -> GaussianMixture:
        """Return what is said of the future of each series."""
        return self._run_free(self._filter(batch.inputs.transpose(0, 1)).ahead, batch.targets.shape[1])

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return forecasts, a past as the smoother sees it, and how the slowest part of the state moves."""
        batch = next(iter(batches), None)
        if batch is None:
            return [self._slowest()]
        means, _ = kalman_smoother(self.system(), self._filter(batch.inputs[:1].transpose(0, 1)))
        smoothed = Series(
            title="the past, smoothed",
            features=self.names,
            past=[],
            target=self.in_own_units(batch.inputs[0]),
            output=self.in_own_units(means[:, 0] @ self.output.mT + self.offset),
        )
        return [*super().samples([batch]), smoothed, self._slowest()]

    def _filter(self, series: Tensor) -> Filtered:
        return kalman_filter(self.system(), self.initial(series.shape[1]), series - self.offset)

    def _run_free(self, belief: Belief, horizon: int) -> GaussianMixture:
        means, deviations = forecast(self.system(), belief, horizon)
        means = (means + self.offset).unsqueeze(-1)
        return GaussianMixture(torch.ones_like(means[..., :1, :]), means, deviations[:, None, :, None])

    def _slowest(self) -> Statement:
        eigenvalues = torch.linalg.eigvals(self.transition.double())
        slowest = eigenvalues[eigenvalues.abs().argmax()]
        modulus, angle = slowest.abs().item(), abs(slowest.angle().item())
        turns = f", and turns once in {2 * math.pi / angle:.3g} steps" if angle > 1e-6 else ""
        lasts = (
            f"is halved every {math.log(0.5) / math.log(modulus):.3g} steps"
            if modulus < 1
            else f"grows {modulus:.3g} times a step, so that forecasts far ahead grow without bound"
        )
        return Statement(f"The slowest part of the state {lasts}{turns}.")


def _factor(root: Tensor) -> Tensor:
    """Return the lower triangular factor of a covariance, of which `root` has the diagonal's logarithm."""
    return root.tril(-1) + torch.diag_embed(root.diagonal(dim1=-2, dim2=-1).exp() + SMALLEST_FACTOR)
