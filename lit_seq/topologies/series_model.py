"""What all models of a series' future share: how good a forecast is, and how a person sees it."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from lit_seq.cores import CoreState
from lit_seq.data.batch import Batch
from lit_seq.data.task import Inputs, Task
from lit_seq.errors import UserError
from lit_seq.samples import Sample, Series
from lit_seq.topologies.forecast_scores import repeated
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.topology import Topology


class Forecast(Protocol):
    """What is said of the steps that follow, as a distribution of each value by itself."""

    @property
    def mean(self) -> Tensor:
        """Its mean, (horizon, batch, values)."""

    def interval(self, band: float) -> tuple[Tensor, Tensor]:
        """Return the ends of the band that holds the part `band`, each (horizon, batch, values)."""

    def crps(self, targets: Tensor) -> Tensor:
        """Return the continuous ranked probability score of each target, (horizon, batch, values)."""


class SeriesModel(Topology):
    """A model of the next values of a series, many steps ahead, as distributions.

    The loss is -log p(future | past) in nats a value of the standardised series, so that the losses of all
    models of a series compare. Metrics beside it: nrmse, of the whole horizon and of single steps of it;
    skill, what is better about its squared error than about repeating the last season, 1 - MSE/MSE';
    coverage, the part of the targets within the band; crps, the continuous ranked probability score.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        band: part of the futures that shall lie in the band, above 0 and below 1.
        season: steps after which the series about repeats itself, in the forecast that `skill` compares with;
            1: it stays where it was.
        options: as in `Topology`.

    Raises:
        UserError: an option is out of its range, or what the data gives is not what is to be forecast.
    """

    metrics: ClassVar[tuple[str, ...]] = ("loss", "nrmse", "nrmse_*", "skill", "coverage", "crps")
    alignments = ("future",)
    kinds: ClassVar[tuple[Inputs, ...]] = ("vectors",)

    def __init__(self, task: Task | dict[str, Any], band: float, season: int, **options: Any) -> None:
        super().__init__(task, band=band, season=season, **options)
        name = type(self).__name__
        values = self.task.target_size
        if self.task.targets != "values" or self.task.input_size != values:
            raise UserError(
                f"{name} takes data whose targets are the values that follow its inputs; this data has"
                f" {self.task.input_size} values a step as inputs and {values} {self.task.targets} as"
                " targets."
            )
        if not 0 < band < 1:
            raise UserError(f"{name}: band is {band}; it must be above 0 and below 1.")
        if season < 1:
            raise UserError(f"{name}: season is {season}; it must be at least 1.")
        self.band, self.season = band, season

    def objective(self, batch: Batch, state: CoreState | None = None) -> tuple[Tensor, Measured]:
        """See `Topology.objective`; a season that validation would refuse is refused at once."""
        self._check_season(batch)
        return super().objective(batch, state)

    @abstractmethod
    def forecast(self, batch: Batch) -> Forecast:
        """Return what is said of the future of each series."""

    def whole(self, batch: Batch) -> Tensor:
        """Return each series of a batch, past and future, (time, batch, values).

        Raises:
            UserError: the pasts are not of one length.
        """
        if batch.lengths is not None:
            raise UserError(f"{type(self).__name__} takes windows whose pasts are all of one length.")
        return torch.cat([batch.inputs, batch.targets], 1).transpose(0, 1)

    def scores(self, forecast: Forecast, batch: Batch) -> dict[str, Tensor]:
        """Return what `derived` and `reported` need of a batch."""
        self._check_season(batch)
        past, targets = batch.inputs.transpose(0, 1), batch.targets.transpose(0, 1)
        low, high = forecast.interval(self.band)
        again = repeated(past, batch.lengths, len(targets), self.season)
        exact = targets.double().flatten(0, 1)
        return {
            "squared_error": (forecast.mean - targets).square().mean((1, 2)),
            "season_error": (again - targets).square().mean(),
            "target_mean": exact.mean(0),
            "target_square": exact.square().mean(0),
            "coverage": ((low <= targets) & (targets <= high)).to(targets.dtype).mean(),
            "crps": forecast.crps(targets).mean(),
        }

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
        forecast = self.forecast(batch)
        low, high = forecast.interval(self.band)
        said = {
            "prediction": forecast.mean,
            "low": low,
            "high": high,
            "target": batch.targets.transpose(0, 1),
        }
        columns = [self.in_own_units(values.transpose(0, 1)) for values in said.values()]
        return [dict(zip(said, row, strict=True)) for row in zip(*columns, strict=True)]

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return the forecasts of three windows: the first, the middle and the last one of a batch."""
        batch = next(iter(batches), None)
        if batch is None:
            return []
        pasts = self.in_own_units(batch.inputs)
        lengths = [len(past) for past in pasts] if batch.lengths is None else batch.lengths.tolist()
        rows = self.predictions(batch)
        return [
            Series(
                title=f"{len(rows[row]['target'])} steps ahead",
                features=self.names,
                past=pasts[row][: lengths[row]],
                target=rows[row]["target"],
                output=rows[row]["prediction"],
                low=rows[row]["low"],
                high=rows[row]["high"],
                band=self.band,
            )
            for row in sorted({0, len(rows) // 2, len(rows) - 1})
        ]

    @property
    def names(self) -> list[str]:
        """What the values of a step are called."""
        return list(self.task.features or (f"value {i}" for i in range(self.task.target_size)))

    def in_own_units(self, values: Tensor) -> list[Any]:
        """Undo the standardisation of (…, values)."""
        if self.task.scale is not None:
            mean, deviation = (values.new_tensor(self.task.scale[of]) for of in ("mean", "deviation"))
            values = values * deviation + mean
        return values.tolist()

    def _check_season(self, batch: Batch) -> None:
        if self.season > batch.inputs.shape[1]:
            raise UserError(
                f"{type(self).__name__}: season is {self.season}, longer than the past, which has"
                f" {batch.inputs.shape[1]} steps."
            )


def _variance(means: dict[str, Tensor]) -> Tensor:
    """Return the variance of the targets over an epoch, a mean over values."""
    return (means["target_square"] - means["target_mean"].square()).mean(-1)
