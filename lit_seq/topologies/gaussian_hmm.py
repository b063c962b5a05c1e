"""A hidden Markov model of a series."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from lit_seq.cores import CoreState
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.samples import Sample
from lit_seq.topologies.emissions import Gaussian
from lit_seq.topologies.gaussian_mixture import GaussianMixture
from lit_seq.topologies.markov_chain import MarkovChain, forward, viterbi
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.series_model import SeriesModel

PERSISTENCE = 3.0
"""At first a state is e³ times likelier to stay than to go to another one: without that, three states of
simulated regimes end in a worse maximum from two seeds of eight, and with it from none."""


class GaussianHMM(SeriesModel):
    """A hidden Markov model of a series: a number of regimes, each with a mean and a covariance of its own.

        p(x_{t+1} | x_1 … x_t) = Σ_k p(z_{t+1} = k | x_1 … x_t) N(x_{t+1}; μ_k, Σ_k)

    (Rabiner 1989, section IV.A), trained by gradient descent on the exact likelihood, which the forward
    algorithm computes (`lit_seq.topologies.markov_chain`). Forecasts are exact mixtures, and forget the past
    as the chain mixes. As any hidden Markov model it may stay at a local maximum: start from several seeds.

    Loss and metrics are those of `lit_seq.topologies.series_model.SeriesModel`.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        states: number of states.
        band: part of the futures that shall lie in the band, above 0 and below 1.
        season: steps after which the series about repeats itself, in the forecast that `skill` compares with;
            1: it stays where it was.
    """

    def __init__(
        self, task: Task | dict[str, Any], states: int = 8, band: float = 0.9, season: int = 1
    ) -> None:
        super().__init__(task, band, season, states=states)
        self.chain = MarkovChain(states, PERSISTENCE)
        self.emissions = Gaussian(states, self.task.input_size)

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return the loss of one batch; of held-out data also how good a forecast is."""
        past, horizon = batch.inputs.shape[1], batch.targets.shape[1]
        ahead, likelihoods = self._read(self.whole(batch))
        means = {"loss": -likelihoods[past:].mean() / self.task.target_size}
        if not self.training:
            means |= self.scores(self._run_free(ahead[past - 1], horizon), batch)
        return Measured(means, torch.tensor(batch.targets.numel()))

    def forecast(self, batch: Batch) -> GaussianMixture:
        """Return what is said of the future of each series."""
        ahead, _ = self._read(batch.inputs.transpose(0, 1))
        return self._run_free(ahead[-1], batch.targets.shape[1])

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the forecast for each series with its band and target, and the past's likeliest states."""
        emissions = self.emissions.log_probabilities(batch.inputs.transpose(0, 1))
        paths = viterbi(self.chain.initial(len(batch.inputs)), self.chain.transition(), emissions)
        rows = super().predictions(batch)
        return [{**row, "states": path} for row, path in zip(rows, paths.mT.tolist(), strict=True)]

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return forecasts, and the transitions between states, each called by its mean."""
        names = [
            f"{state}: {', '.join(f'{value:.3g}' for value in mean[:3])}"
            for state, mean in enumerate(self.in_own_units(self.emissions.means))
        ]
        return [*super().samples(batches), self.chain.matrix(names)]

    def _read(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` does of a series, (time, batch, values)."""
        emissions = self.emissions.log_probabilities(series)
        return forward(self.chain.initial(series.shape[1]), self.chain.transition(), emissions)

    def _run_free(self, belief: Tensor, horizon: int) -> GaussianMixture:
        transition, beliefs = self.chain.transition(), [belief]
        for _ in range(horizon - 1):
            beliefs.append(beliefs[-1] @ transition)
        deviations = self.emissions.covariances().diagonal(dim1=-2, dim2=-1).sqrt()
        return GaussianMixture(torch.stack(beliefs).unsqueeze(-2), self.emissions.means.mT, deviations.mT)
