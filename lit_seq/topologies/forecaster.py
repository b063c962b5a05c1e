"""A series in, its future out, by running free."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map

from lit_seq.cores import Core, CoreState, DelayTaps, Stack
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.forecast_scores import crps, interval
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.series_model import SeriesModel

SMALLEST_DEVIATION = 1e-3
"""Added to σ, in the data's standard deviations: a series without noise would have an infinite density."""


class Paths(NamedTuple):
    """A forecast by futures that were drawn (`lit_seq.topologies.series_model.Forecast`).

    Attributes:
        mean: their mean, (horizon, batch, values).
        ordered: themselves, in ascending order at each step, (paths, horizon, batch, values).
    """

    mean: Tensor
    ordered: Tensor

    def interval(self, band: float) -> tuple[Tensor, Tensor]:
        """Return the ends between which a part `band` of the paths lies."""
        return interval(self.ordered, band)

    def crps(self, targets: Tensor) -> Tensor:
        """Return the continuous ranked probability score of each target."""
        return crps(self.ordered, targets)


class Forecaster(SeriesModel):
    """Next values of a series, many steps ahead, as a distribution: the autoregressive recurrent network.

        p(x_{t+1} | x_1 … x_t) = N(W h_t + b, σ_t²),    σ_t = softplus(V h_t + c)

    value by value, with h_t the core's output after x_t (DeepAR: Salinas, Flunkert, Gasthaus & Januschowski
    2020, eqs. 1–2 and 4). Training feeds the true values (teacher forcing) and maximises the likelihood of
    the future given the past, step by step; the loss is its negative logarithm, in nats a value of the
    standardised series. That is the exact density of the whole future, by the chain rule, so that losses
    of all models of a series compare.

    Forecasts run free: `paths` futures are drawn, each step from what the path itself was so far. The
    forecast is their mean, its band lies between their quantiles. They draw the same random numbers for
    every series, in pairs of opposite sign, so that nothing but the model changes a metric.

    With the core `DelayTaps`, and `deviation` "constant", this is the linear autoregressive model AR(k).

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a causal `Core` class with its options.
        deviation: whether σ follows the core's output, or is one number for each value.
        paths: futures to draw, an even number.
        band: part of the futures that shall lie in the band, above 0 and below 1.
        season: steps after which the series about repeats itself, in the forecast that `skill` compares with;
            1: it stays where it was.

    Raises:
        UserError: an option is out of its range, the core is not causal, or what the data gives is not what
            is to be forecast.
    """

    noise: Tensor

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        deviation: Literal["state", "constant"] = "state",
        paths: int = 100,
        band: float = 0.9,
        season: int = 1,
    ) -> None:
        super().__init__(task, band, season, core=core, deviation=deviation, paths=paths)
        if deviation not in ("state", "constant"):
            raise UserError(f"Forecaster: deviation is {deviation!r}; it must be 'state' or 'constant'.")
        if paths < 2 or paths % 2:
            raise UserError(f"Forecaster: paths is {paths}; it must be even and at least 2.")
        values = self.task.target_size
        self.core = core(values)
        if not self.core.causal:
            raise UserError(
                "Forecaster needs a core that reads from left to right; a bidirectional one would see the"
                " values that it is to forecast."
            )
        self.mean = nn.Linear(self.core.output_size, values)
        self.spread = nn.Linear(self.core.output_size, values) if deviation == "state" else _Constant(values)
        if self.task.target_length is None:
            raise UserError(
                "Forecaster takes data that says how many steps are to be forecast; the target_length of this"
                " data is null."
            )
        shape = (self.task.target_length, paths // 2, 1, values)
        # The same numbers in every precision.
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        noise = torch.cat([drawn, -drawn], 1).to(self.mean.weight.dtype)
        self.register_buffer("noise", noise, persistent=False)

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return the loss of one batch; of held-out data also how good a forecast is."""
        output, state = self._read(batch)
        targets = batch.targets.transpose(0, 1)
        outputs = output.unsqueeze(0)
        if len(targets) > 1:
            outputs = torch.cat([outputs, self.core(targets[:-1], state)[0]])
        mean, deviation = self._density(outputs)
        likelihood = -((targets - mean) / deviation).square() / 2 - deviation.log()
        means = {"loss": math.log(2 * math.pi) / 2 - likelihood.mean()}
        if not self.training:
            means |= self.scores(self._run_free(output, state), batch)
        return Measured(means, torch.tensor(targets.numel()))

    def forecast(self, batch: Batch) -> Paths:
        """Return futures of each series."""
        return self._run_free(*self._read(batch))

    def _read(self, batch: Batch) -> tuple[Tensor, CoreState]:
        """Return the core's output after the past, (batch, output), and its state."""
        past = batch.inputs.transpose(0, 1)
        for module in self.core.modules():
            if isinstance(module, DelayTaps) and module.taps > len(past):
                raise UserError(
                    f"DelayTaps: {module.taps} taps reach further back than the past, which has {len(past)}"
                    " steps; give fewer taps or a longer past."
                )
        _, state = self.core(past, None, batch.lengths)
        return self.core.summary(state), state

    def _density(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of the next values, (…, values)."""
        return self.mean(outputs), functional.softplus(self.spread(outputs)) + SMALLEST_DEVIATION

    def _run_free(self, output: Tensor, state: CoreState) -> Paths:
        """Draw futures, each step from what its own path was so far.

        Args:
            output: the core's output after the past, (batch, output).
            state: its state then.
        """
        paths, series = self.noise.shape[1], len(output)
        output, state = tree_map(lambda leaf: leaf.expand(paths, *leaf.shape).flatten(0, 1), (output, state))
        drawn: list[Tensor] = []
        for noise in self.noise.unbind(0):
            if drawn:
                outputs, state = self.core(drawn[-1].unsqueeze(0), state)
                output = outputs[0]
            mean, deviation = self._density(output)
            drawn.append(mean + deviation * noise.expand(paths, series, -1).flatten(0, 1))
        futures = torch.stack(drawn).unflatten(1, (paths, series)).transpose(0, 1)
        return Paths(futures.mean(0), futures.sort(0).values)


class _Constant(nn.Module):
    """The same numbers, whatever comes in."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(values))

    def forward(self, outputs: Tensor) -> Tensor:
        return self.values.expand(*outputs.shape[:-1], -1)
