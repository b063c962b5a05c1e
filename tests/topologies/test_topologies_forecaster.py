"""Forecasts of series: densities, paths, bands and scores against what mathematics says of linear models."""

import json
import math
from functools import partial

import pandas as pd
import pytest
import torch

from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import DelayTaps, Stack
from lit_seq.data import Batch, Sunspots, Task
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.topologies import Forecaster
from lit_seq.topologies.forecast_scores import crps, interval, repeated
from lit_seq.topologies.forecaster import SMALLEST_DEVIATION


def task(values=1, horizon=4, **further):
    return Task("vectors", values, "values", values, "future", target_length=horizon, **further)


def autoregressive(weights, deviation, horizon=4, **options):
    """Return the model x_{t+1} = Σ wᵢ x_{t-i} + N(0, deviation²)."""
    core = partial(DelayTaps, taps=len(weights))
    model = Forecaster(task(horizon=horizon), core, deviation="constant", **options)
    with torch.no_grad():
        model.mean.weight.copy_(torch.tensor([weights]))
        model.mean.bias.zero_()
        model.spread.values.fill_(math.log(math.expm1(deviation - SMALLEST_DEVIATION)))
    return model.eval()


def responses(weights, horizon):
    """Return ψ_0 … ψ_{h-1}, what a shock of 1 has become after as many steps."""
    psi = [1.0]
    for _ in range(horizon - 1):
        psi.append(sum(w * psi[-lag] for lag, w in enumerate(weights, 1) if lag <= len(psi)))
    return torch.tensor(psi)


WEIGHTS = [1.2, -0.6, 0.1]


@pytest.mark.usefixtures("double")
def test_the_loss_is_the_exact_density_of_the_whole_future():
    model, horizon = autoregressive(WEIGHTS, 0.3), 4
    past, future = torch.randn(2, 6, 1), torch.randn(2, horizon, 1)
    # The future is jointly normal: Cov = σ² Ψ Ψᵀ with Ψ the lower triangle of responses.
    psi = responses(WEIGHTS, horizon)
    triangle = torch.tensor([[psi[i - j] if i >= j else 0.0 for j in range(horizon)] for i in range(horizon)])
    densities = []
    for before, after in zip(past[..., 0].tolist(), future[..., 0], strict=True):
        mean = list(before)
        for _ in range(horizon):
            mean.append(sum(w * mean[-lag] for lag, w in enumerate(WEIGHTS, 1)))
        joint = torch.distributions.MultivariateNormal(
            torch.tensor(mean[-horizon:]), scale_tril=0.3 * triangle
        )
        densities.append(joint.log_prob(after))
    loss = model.measure(Batch(past, future)).means["loss"]
    assert loss.item() == pytest.approx(-torch.stack(densities).mean().item() / horizon, rel=1e-9)


@pytest.mark.usefixtures("double")
def test_paths_have_the_mean_and_the_spread_of_the_process():
    model, past = autoregressive(WEIGHTS, 0.3, horizon=6, paths=20000), torch.randn(3, 5, 1)
    forecast = model.forecast(Batch(past, torch.zeros(3, 6, 1)))
    mean = list(past[..., 0].unbind(1))
    for _ in range(6):
        mean.append(sum(w * mean[-lag] for lag, w in enumerate(WEIGHTS, 1)))
    # In pairs of opposite sign the noise of a linear process cancels out.
    torch.testing.assert_close(forecast.mean[..., 0], torch.stack(mean[-6:]), rtol=0, atol=1e-9)
    deviation = 0.3 * responses(WEIGHTS, 6).square().cumsum(0).sqrt()
    reach = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(0.95)) * deviation
    expected = torch.stack(mean[-6:]) + reach.unsqueeze(1)
    low, high = forecast.interval(0.9)
    torch.testing.assert_close(high[..., 0], expected, rtol=0, atol=0.02)
    torch.testing.assert_close(low + high, 2 * forecast.mean, rtol=0, atol=1e-9)


def test_the_band_covers_what_it_says_of_its_own_process():
    model = autoregressive(WEIGHTS, 0.3, horizon=8, paths=200, band=0.8)
    torch.manual_seed(0)
    series = [torch.randn(2000), torch.randn(2000), torch.randn(2000)]
    for _ in range(8):
        series.append(sum(w * series[-lag] for lag, w in enumerate(WEIGHTS, 1)) + 0.3 * torch.randn(2000))
    both = torch.stack(series, 1).unsqueeze(2)
    means = model.measure(Batch(both[:, :3], both[:, 3:])).means
    assert means["coverage"].item() == pytest.approx(0.8, abs=0.02)
    # The expected score of a normal forecast that is right is σ/√π.
    deviation = 0.3 * responses(WEIGHTS, 8).square().cumsum(0).sqrt()
    assert means["crps"].item() == pytest.approx((deviation / math.sqrt(math.pi)).mean().item(), rel=0.02)


def test_scores_are_those_of_their_definitions():
    paths, targets = torch.randn(7, 3, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    ordered = paths.sort(0).values
    pairs = torch.stack([(one - other).abs() for one in paths for other in paths]).mean(0)
    expected = (paths - targets).abs().mean(0) - pairs / 2
    torch.testing.assert_close(crps(ordered, targets), expected)
    low, high = interval(ordered, 0.7)
    torch.testing.assert_close(low, paths.quantile(0.15, 0))
    torch.testing.assert_close(high, paths.quantile(0.85, 0))


def test_metrics_by_hand():
    # It says 0 at every step, so nearly sure of itself that all paths are one.
    model = autoregressive([0.0], 2 * SMALLEST_DEVIATION, horizon=3, season=2)
    past = torch.tensor([[[0.0], [1.0], [3.0]], [[0.0], [2.0], [4.0]]])
    targets = torch.tensor([[[1.0], [2.0], [2.0]], [[2.0], [4.0], [1.0]]])
    means = model.measure(Batch(past, targets)).means
    reported = model.reported("val", means)
    values = [1, 2, 2, 2, 4, 1]
    variance = sum(v * v for v in values) / 6 - (sum(values) / 6) ** 2
    seasons = [1 - 1, 3 - 2, 1 - 2, 2 - 2, 4 - 4, 2 - 1]
    expected = {
        "nrmse": math.sqrt(30 / 6 / variance),
        "nrmse_1": math.sqrt((1 + 4) / 2 / variance),
        "nrmse_2": math.sqrt((4 + 16) / 2 / variance),
        "nrmse_3": math.sqrt((4 + 1) / 2 / variance),
        "skill": 1 - (30 / 6) / (sum(e * e for e in seasons) / 6),
        "coverage": 0,
        "crps": sum(values) / 6,
    }
    del reported["val/loss"]
    assert {name.removeprefix("val/"): value.item() for name, value in reported.items()} == pytest.approx(
        expected, abs=0.01
    )
    stacked = model.reported("val", {name: torch.stack([mean, mean]) for name, mean in means.items()})
    for name, value in reported.items():
        assert stacked[name].tolist() == pytest.approx([value.item()] * 2)


def test_the_last_season_again():
    past = torch.arange(5.0).reshape(5, 1, 1) + torch.tensor([0.0, 10.0]).reshape(1, 2, 1)
    assert repeated(past, None, 3, 1)[..., 0].T.tolist() == [[4, 4, 4], [14, 14, 14]]
    assert repeated(past, None, 5, 3)[..., 0].T.tolist() == [[2, 3, 4, 2, 3], [12, 13, 14, 12, 13]]
    assert repeated(past, torch.tensor([5, 3]), 4, 2)[..., 0].T.tolist() == [[3, 4, 3, 4], [11, 12, 11, 12]]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("core", [partial(Stack, hidden_size=5, layers=2), partial(DelayTaps, taps=3)])
def test_a_short_series_in_a_padded_batch_is_forecast_as_alone(core):
    torch.manual_seed(0)
    model = Forecaster(task(values=2), core).eval()
    past, future, lengths = torch.randn(3, 7, 2), torch.randn(3, 4, 2), torch.tensor([7, 3, 5])
    together = model.predictions(Batch(past, future, lengths))
    losses = []
    for index, length in enumerate(lengths.tolist()):
        one = Batch(past[index : index + 1, :length], future[index : index + 1])
        (alone,) = model.predictions(one)
        losses.append(model.measure(one).means["loss"])
        for name, values in alone.items():
            torch.testing.assert_close(
                torch.tensor(together[index][name]), torch.tensor(values), rtol=0, atol=1e-10
            )
    loss = model.measure(Batch(past, future, lengths)).means["loss"]
    torch.testing.assert_close(loss, torch.stack(losses).mean(), rtol=1e-10, atol=0)


def test_predictions_and_samples_are_in_the_units_of_the_data():
    scale = {"mean": [100.0], "deviation": [10.0]}
    model = Forecaster(task(horizon=2, features=("heat",), scale=scale), partial(DelayTaps, taps=2)).eval()
    batch = Batch(torch.tensor([[[0.0], [1.0], [2.0]]]), torch.tensor([[[-1.0], [0.5]]]))
    (row,) = model.predictions(batch)
    assert row["target"] == [[90.0], [105.0]]
    assert all(
        low < middle < high
        for (low,), (middle,), (high,) in zip(row["low"], row["prediction"], row["high"], strict=True)
    )
    forecast = model.forecast(batch)
    assert row["prediction"] == (forecast.mean[:, 0] * 10 + 100).tolist()
    (sample,) = model.samples([batch])
    assert (sample.features, sample.past, sample.target) == (["heat"], [[100], [110], [120]], row["target"])
    assert (sample.output, sample.low, sample.high, sample.band) == (
        row["prediction"],
        row["low"],
        row["high"],
        0.9,
    )


SUNSPOTS = [
    *("--model", "Forecaster", "--model.paths", "10", "--data", "Sunspots", "--data.past", "12"),
    *("--data.horizon", "3", "--trainer.precision", "64-true", "--trainer.enable_progress_bar", "false"),
    *("--trainer.log_every_n_steps", "1", "--wandb.mode", "disabled"),
]


def fit(folder, name, *options):
    return ["fit", *SUNSPOTS, *options, "--runs_dir", str(folder), "--name", name]


def test_trained_to_its_end_the_linear_model_is_least_squares(tmp_path):
    # Each step of a window's future is one equation; L-BFGS sees all of them at once.
    search = {"lr": 1, "max_iter": 200, "max_eval": 400, "history_size": 50, "line_search_fn": "strong_wolfe"}
    command = fit(
        tmp_path,
        "linear",
        *("--model.core", "DelayTaps", "--model.core.taps", "9", "--model.deviation", "constant"),
        *("--data.batch_size", "1000", "--trainer.max_steps", "1", "--optimizer", "LBFGS"),
        *(f"--optimizer.{name}={value}" for name, value in search.items()),
    )
    assert main(command) == 0
    model = load_model(tmp_path / "linear/checkpoints/last.ckpt", Forecaster).double()
    (batch,) = Sunspots(past=12, horizon=3, batch_size=1000).train_dataloader()
    series = torch.cat([batch.inputs, batch.targets], 1)[..., 0].double()
    equations = torch.cat([series[:, 12 + h - 9 : 12 + h].flip(1) for h in range(3)])
    equations = torch.cat([equations, torch.ones(len(equations), 1)], 1)
    wanted = series[:, 12:].T.flatten()
    solution = torch.linalg.lstsq(equations, wanted.unsqueeze(1)).solution[:, 0]
    torch.testing.assert_close(model.mean.weight[0].detach(), solution[:-1], rtol=0, atol=1e-4)
    deviation = (wanted - equations @ solution).square().mean().sqrt()
    loss = 0.5 * math.log(2 * math.pi) + 0.5 + deviation.log()
    again = model.measure(Batch(batch.inputs.double(), batch.targets.double()))
    assert again.means["loss"].item() == pytest.approx(loss.item(), abs=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        ["--model.core.cell", "GRU", "--model.core.hidden_size", "4", "--model.season", "11"],
        ["--model.core", "DelayTaps", "--model.core.taps", "5", "--model.deviation", "constant"],
    ],
)
def test_packed_trials_equal_solo_runs(tmp_path, capsys, model):
    options = [*model, "--trainer.max_steps", "8", "--trainer.check_val_every_n_epoch", "1"]
    trials = [[f"--optimizer.lr={0.01 * (index + 1)}", f"--seed_everything={index}"] for index in range(3)]
    packed = [fit(tmp_path, f"packed{index}", *options, *trial) for index, trial in enumerate(trials)]
    assert run_pack(packed) == [0, 0, 0]
    assert "A pack of 3 trials" in capsys.readouterr().err
    for index, trial in enumerate(trials):
        assert main(fit(tmp_path, f"solo{index}", *options, *trial)) == 0
        left, right = (pd.read_csv(tmp_path / f"{kind}{index}/metrics.csv") for kind in ("packed", "solo"))
        assert {"train/loss", "val/nrmse_1", "val/nrmse_3", "val/skill", "val/coverage"} <= set(left)
        assert sorted(left) == sorted(right)
        for column in left:
            # Lightning keeps validation metrics in float32 whatever the precision.
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(left[column], right[column], rtol=rtol, atol=0)


def test_from_the_command_line_to_predictions(tmp_path):
    command = ["--model.core.hidden_size", "4", "--trainer.max_steps", "2"]
    assert main(fit(tmp_path, "run", *command)) == 0
    path = tmp_path / "run/checkpoints/last.ckpt"
    assert main(["predict", "--ckpt_path", str(path)]) == 0
    lines = (tmp_path / "run/predictions.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 51
    assert first["target"] == [[pytest.approx(v, abs=1e-3)] for v in (141.7, 190.2, 184.8)]  # 1956 to 1958
    model = load_model(path, Forecaster).eval()
    batch = next(iter(Sunspots(past=12, horizon=3).test_dataloader()))
    again = model.predictions(Batch(batch.inputs.double(), batch.targets.double()))[0]
    assert again["prediction"] == [[pytest.approx(v)] for (v,) in first["prediction"]]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"core": partial(Stack, bidirectional=True)}, "needs a core that reads from left to right"),
        ({"paths": 3}, r"Forecaster: paths is 3; it must be even and at least 2\."),
        ({"band": 1.0}, r"Forecaster: band is 1.0; it must be above 0 and below 1\."),
        ({"season": 0}, r"Forecaster: season is 0; it must be at least 1\."),
        ({"deviation": "none"}, r"Forecaster: deviation is 'none'; it must be 'state' or 'constant'\."),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Forecaster(task(), **options)


def test_what_is_not_given_cannot_be_forecast():
    with pytest.raises(UserError, match=r"this data has 3 values a step as inputs and 1 values as targets\."):
        Forecaster(Task("vectors", 3, "values", 1, "future", target_length=2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"core": partial(DelayTaps, taps=6)}, r"6 taps reach further back than the past, which has 5 steps"),
        ({"season": 7}, r"season is 7, longer than the past, which has 5 steps\."),
    ],
)
def test_what_reaches_further_back_than_the_past_is_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Forecaster(task(), **options).eval().measure(Batch(torch.randn(2, 5, 1), torch.randn(2, 4, 1)))
