"""A series in, its future out, with bands."""

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map

from lit_seq.cores import Core, CoreState, DelayTaps, Stack
from lit_seq.data.batch import Batch
from lit_seq.data.task import Inputs, Task
from lit_seq.errors import UserError
from lit_seq.samples import Sample, Series
from lit_seq.topologies.forecast_scores import crps, interval, repeated
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.topology import Topology

SMALLEST_DEVIATION = 1e-3
"""Added to σ, in the data's standard deviations: a series without noise would have an infinite density."""


class Forecast(NamedTuple):
    """What is said of the steps that follow, each (horizon, batch, values).

    Attributes:
        mean: the mean of all paths.
        low: lower end of the band.
        high: upper end of the band.
        ordered: the paths themselves, in ascending order at each step, (paths, horizon, batch, values).
    """

    mean: Tensor
    low: Tensor
    high: Tensor
    ordered: Tensor


class Forecaster(Topology):
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

    Metrics beside the loss: nrmse, of the whole horizon and of single steps of it; skill, what is better
    about its squared error than about repeating the last season, 1 - MSE/MSE'; coverage, the part of the
    targets within the band; crps (`lit_seq.topologies.forecast_scores.crps`).

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

    metrics: ClassVar[tuple[str, ...]] = ("loss", "nrmse", "skill", "coverage", "crps")
    alignments = ("future",)
    kinds: ClassVar[tuple[Inputs, ...]] = ("vectors",)

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
        super().__init__(task, core=core, deviation=deviation, paths=paths, band=band, season=season)
        values, horizon = self.task.target_size, self.task.target_length
        if self.task.targets != "values" or self.task.input_size != values or horizon is None:
            raise UserError(
                "Forecaster feeds its forecasts back, so it takes data whose targets are the values that"
                f" follow its inputs; this data has {self.task.input_size} values a step as inputs and"
                f" {values} {self.task.targets} as targets."
            )
        for name, wrong, allowed in (
            ("deviation", deviation not in ("state", "constant"), "'state' or 'constant'"),
            ("paths", paths < 2 or paths % 2, "even and at least 2"),
            ("band", not 0 < band < 1, "above 0 and below 1"),
            ("season", season < 1, "at least 1"),
        ):
            if wrong:
                given = {"deviation": deviation, "paths": paths, "band": band, "season": season}[name]
                raise UserError(f"Forecaster: {name} is {given!r}; it must be {allowed}.")
        self.core = core(values)
        if not self.core.causal:
            raise UserError(
                "Forecaster needs a core that reads from left to right; a bidirectional one would see the"
                " values that it is to forecast."
            )
        self.mean = nn.Linear(self.core.output_size, values)
        self.spread = nn.Linear(self.core.output_size, values) if deviation == "state" else _Constant(values)
        drawn = torch.randn(horizon, paths // 2, 1, values, generator=torch.Generator().manual_seed(0))
        noise = torch.cat([drawn, -drawn], 1)
        self.register_buffer("noise", noise.to(self.mean.weight.dtype), persistent=False)
        self.band, self.season = band, season

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
            means |= self._scores(self._forecast(output, state), targets, batch)
        return Measured(means, torch.tensor(targets.numel()))

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return NRMSE and skill over the whole horizon."""
        if "squared_error" not in means:
            return {}
        error = means["squared_error"].mean(-1)
        return {"nrmse": (error / _variance(means)).sqrt(), "skill": 1 - error / means["season_error"]}

    def reported(self, stage: str, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Topology.reported`; NRMSE also by step: nrmse_1, _2, _4, … and the last one."""
        reported = super().reported(stage, means)
        if "squared_error" in means:
            by_step = (means["squared_error"] / _variance(means).unsqueeze(-1)).sqrt().unbind(-1)
            steps = [2**power for power in range(len(by_step).bit_length()) if 2**power < len(by_step)]
            reported |= {f"{stage}/nrmse_{step}": by_step[step - 1] for step in [*steps, len(by_step)]}
        return reported

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the forecast for each series, in the data's own units, beside its band and what came."""
        forecast = self._forecast(*self._read(batch))
        said = {
            "prediction": forecast.mean.transpose(0, 1),
            "low": forecast.low.transpose(0, 1),
            "high": forecast.high.transpose(0, 1),
            "target": batch.targets,
        }
        columns = [self._in_own_units(values) for values in said.values()]
        return [dict(zip(said, row, strict=True)) for row in zip(*columns, strict=True)]

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return the forecasts of three windows: the first, the middle and the last one of a batch."""
        batch = next(iter(batches))
        names = self.task.features or tuple(f"value {i}" for i in range(self.task.target_size))
        pasts = self._in_own_units(batch.inputs)
        lengths = [len(past) for past in pasts] if batch.lengths is None else batch.lengths.tolist()
        rows = self.predictions(batch)
        return [
            Series(
                title=f"{len(rows[row]['target'])} steps ahead",
                features=list(names),
                past=pasts[row][: lengths[row]],
                target=rows[row]["target"],
                output=rows[row]["prediction"],
                low=rows[row]["low"],
                high=rows[row]["high"],
                band=self.band,
            )
            for row in sorted({0, len(rows) // 2, len(rows) - 1})
        ]

    def _read(self, batch: Batch) -> tuple[Tensor, CoreState]:
        """Return the core's output after the past, (batch, output), and its state."""
        past = batch.inputs.transpose(0, 1)
        for module in self.core.modules():
            if isinstance(module, DelayTaps) and module.taps > len(past):
                raise UserError(
                    f"DelayTaps: {module.taps} taps reach further back than the past, which has {len(past)}"
                    " steps; give fewer taps or a longer past."
                )
        if self.season > len(past):
            raise UserError(
                f"Forecaster: season is {self.season}, longer than the past, which has {len(past)} steps."
            )
        _, state = self.core(past, None, batch.lengths)
        return self.core.summary(state), state

    def _density(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of the next values, (…, values)."""
        return self.mean(outputs), functional.softplus(self.spread(outputs)) + SMALLEST_DEVIATION

    def _forecast(self, output: Tensor, state: CoreState) -> Forecast:
        """Run free.

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
        ordered = futures.sort(0).values
        return Forecast(futures.mean(0), *interval(ordered, self.band), ordered)

    def _scores(self, forecast: Forecast, targets: Tensor, batch: Batch) -> dict[str, Tensor]:
        past = batch.inputs.transpose(0, 1)
        again = repeated(past, batch.lengths, len(targets), self.season)
        exact = targets.double().flatten(0, 1)
        within = (forecast.low <= targets) & (targets <= forecast.high)
        return {
            "squared_error": (forecast.mean - targets).square().mean((1, 2)),
            "season_error": (again - targets).square().mean(),
            "target_mean": exact.mean(0),
            "target_square": exact.square().mean(0),
            "coverage": within.to(targets.dtype).mean(),
            "crps": crps(forecast.ordered, targets).mean(),
        }

    def _in_own_units(self, values: Tensor) -> list[list[list[float]]]:
        """Undo the standardisation of (batch, time, values)."""
        if self.task.scale is not None:
            mean, deviation = (values.new_tensor(self.task.scale[of]) for of in ("mean", "deviation"))
            values = values * deviation + mean
        return values.tolist()


class _Constant(nn.Module):
    """The same numbers, whatever comes in."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(values))

    def forward(self, outputs: Tensor) -> Tensor:
        return self.values.expand(*outputs.shape[:-1], -1)


def _variance(means: dict[str, Tensor]) -> Tensor:
    """Return the variance of the targets over an epoch, a mean over values."""
    return (means["target_square"] - means["target_mean"].square()).mean(-1)
