"""Linear dynamical systems and hidden Markov models of series: loss, forecasts, metrics and recovery."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hmmlearn.hmm import GaussianHMM as Reference
from scipy.linalg import solve_discrete_lyapunov
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.data import Batch, GeneratedData, Task
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.samples import Matrix, Series, Statement
from lit_seq.topologies.forecaster import Forecaster
from lit_seq.topologies.gaussian_hmm import GaussianHMM
from lit_seq.topologies.linear_dynamical_system import LinearDynamicalSystem

SCALE = {"mean": [10.0, -3.0], "deviation": [2.0, 0.5]}
MODELS = (LinearDynamicalSystem, GaussianHMM)

ROTATION = 0.95 * torch.tensor(
    [[math.cos(0.5), -math.sin(0.5)], [math.sin(0.5), math.cos(0.5)]], dtype=torch.float64
)
OUTPUT = torch.tensor([[1.0, 0.0], [0.5, 1.0]], dtype=torch.float64)
TRANSITION = torch.tensor([[0.95, 0.05, 0.0], [0.0, 0.9, 0.1], [0.2, 0.0, 0.8]])
MEANS = torch.tensor([[-1.5, 0.0], [0.5, 1.0], [1.0, -1.0]])
DEVIATIONS = torch.tensor([0.3, 0.4, 0.5])


class Simulated(GeneratedData):
    """Windows of a noisy rotation that is seen from two sides, or of three regimes.

    Args:
        regimes: whether it is the latter.
        past: steps that are given.
        horizon: steps to forecast.
    """

    def __init__(self, regimes: bool = False, past: int = 8, horizon: int = 5, **generated):
        super().__init__(**generated)
        self.regimes, self.past, self.horizon = regimes, past, horizon

    @property
    def task(self):
        return Task("vectors", 2, "values", 2, "future", target_length=self.horizon, scale=SCALE)

    def generate(self, size, generator):
        steps = self.past + self.horizon
        noise = torch.randn(50 + steps, size, 2, generator=generator)
        if self.regimes:
            state, states = torch.zeros(size, dtype=torch.int64), []
            for _ in range(50 + steps):
                state = torch.multinomial(TRANSITION[state], 1, generator=generator).squeeze(1)
                states.append(state)
            of = torch.stack(states)
            series = MEANS[of] + DEVIATIONS[of].unsqueeze(-1) * noise
        else:
            state, states = torch.zeros(size, 2), []
            for w in noise:
                state = state @ ROTATION.mT.float() + 0.3 * w
                states.append(state)
            seen = torch.randn(50 + steps, size, 2, generator=generator)
            series = torch.stack(states) @ OUTPUT.mT.float() + 0.2 * seen
        series = series[50:].transpose(0, 1)
        return Batch(series[:, : self.past], series[:, self.past :])


def build(kind, **options):
    torch.manual_seed(0)
    size = {"state_size": 3} if kind is LinearDynamicalSystem else {"states": 3}
    model = kind(Simulated().task, **size, **options).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def windows(size=4, past=8, horizon=5):
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(size, past + horizon, 2, generator=generator, dtype=torch.float64)
    return Batch(drawn[:, :past], drawn[:, past:])


def kalman_likelihood(model, series):
    """Log density of each step by statsmodels."""
    a, c, q, r = (part.detach().numpy() for part in model.system())
    reference = KalmanSmoother(2, 3)
    reference["transition"], reference["design"], reference["selection"] = a, c, np.eye(3)
    reference["obs_intercept"] = model.offset.detach().numpy()
    reference["state_cov"], reference["obs_cov"] = q @ q.T, r @ r.T
    belief = model.initial(1)
    mean, spread = belief.mean[0].detach(), (belief.factor @ belief.factor.mT).detach()
    reference.initialize_known(mean.numpy(), spread.numpy())
    reference.bind(series.contiguous().numpy())
    return reference.smooth().llf_obs.sum()


def markov_likelihood(model, series):
    """Log density by hmmlearn."""
    reference = Reference(3, "full")
    reference.startprob_ = model.chain.initial(1)[0].detach().numpy()
    reference.transmat_ = model.chain.transition().detach().numpy()
    reference.means_ = model.emissions.means.detach().numpy()
    reference.covars_ = model.emissions.covariances().detach().numpy()
    return reference.score(series.numpy())


@pytest.mark.parametrize(
    ("kind", "likelihood"), [(LinearDynamicalSystem, kalman_likelihood), (GaussianHMM, markov_likelihood)]
)
def test_loss_is_the_exact_density_of_the_future_given_the_past(kind, likelihood):
    model, batch = build(kind), windows()
    measured = model.measure(batch)
    total = sum(
        likelihood(model, torch.cat([past, future])) - likelihood(model, past)
        for past, future in zip(batch.inputs, batch.targets, strict=True)
    )
    assert measured.targets == 40
    assert measured.means["loss"].item() == pytest.approx(-total / 40, rel=1e-6)
    model.train()
    assert model.measure(batch).means.keys() == {"loss"}


def drawn_futures(model, past, horizon, paths):
    """Futures of one past by simulation, from the states' own distribution after it, (paths, horizon, 2)."""
    if isinstance(model, GaussianHMM):
        belief = model._read(past.unsqueeze(1))[0][-1].expand(paths, -1)
        state = torch.multinomial(belief, 1).squeeze(1)
        roots = torch.linalg.cholesky(model.emissions.covariances())
        steps = []
        for _ in range(horizon):
            noise = torch.randn(paths, 2, 1, dtype=torch.float64)
            steps.append(model.emissions.means[state] + (roots[state] @ noise).squeeze(-1))
            state = torch.multinomial(model.chain.transition()[state], 1).squeeze(1)
        return torch.stack(steps, 1)
    a, c, q, r = model.system()
    belief = model._filter(past.unsqueeze(1)).ahead

    def noise(factor):
        return torch.randn(paths, len(factor), dtype=torch.float64) @ factor.mT

    state, steps = belief.mean + noise(belief.factor), []
    for _ in range(horizon):
        steps.append(state @ c.mT + model.offset + noise(r))
        state = state @ a.mT + noise(q)
    return torch.stack(steps, 1)


@torch.no_grad()
@pytest.mark.parametrize("kind", MODELS)
def test_forecasts_are_those_of_simulated_futures(kind):
    model, batch = build(kind, band=0.8), windows(size=2)
    rows = model.predictions(batch)
    mean, deviation = torch.tensor(SCALE["mean"]), torch.tensor(SCALE["deviation"])
    for row, past, target in zip(rows, *batch[:2], strict=True):
        futures = drawn_futures(model, past, 5, 20000) * deviation + mean
        spread = futures.std(0)
        assert ((torch.tensor(row["prediction"]) - futures.mean(0)).abs() < 0.05 * spread).all()
        for end, probability in (("low", 0.1), ("high", 0.9)):
            wanted = futures.quantile(probability, 0)
            assert ((torch.tensor(row[end]) - wanted).abs() < 0.06 * spread).all()
        torch.testing.assert_close(torch.tensor(row["target"]).double(), target * deviation + mean)


@torch.no_grad()
@pytest.mark.parametrize("kind", MODELS)
def test_metrics(kind):
    model, batch = build(kind, season=3), windows(size=20)
    measured = model.measure(batch)
    found = model.reported("val", {name: mean.double() for name, mean in measured.means.items()})
    forecast = model.forecast(batch)
    error = (forecast.mean.transpose(0, 1) - batch.targets).square()
    variance = batch.targets.var((0, 1), correction=0).mean()
    again = batch.inputs[:, -3:].repeat(1, 2, 1)[:, :5]
    low, high = forecast.interval(0.9)
    within = (low.transpose(0, 1) <= batch.targets) & (batch.targets <= high.transpose(0, 1))
    wanted = {
        "nrmse": (error.mean() / variance).sqrt(),
        **{f"nrmse_{step}": (error[:, step - 1].mean() / variance).sqrt() for step in (1, 2, 4, 5)},
        "skill": 1 - error.mean() / (again - batch.targets).square().mean(),
        "coverage": within.double().mean(),
        "crps": forecast.crps(batch.targets.transpose(0, 1)).mean(),
        "loss": measured.means["loss"],
    }
    assert found.keys() == {f"val/{name}" for name in wanted}
    for name, value in wanted.items():
        assert found[f"val/{name}"].item() == pytest.approx(value.item(), rel=1e-9)


@torch.no_grad()
def test_samples():
    batch = windows()
    for kind in MODELS:
        model = build(kind)
        forecasts, further = (samples := model.samples(iter([batch])))[:3], samples[3:]
        assert all(isinstance(one, Series) and one.band == 0.9 for one in forecasts)
        assert forecasts[0].features == ["value 0", "value 1"]
        past = np.array(SCALE["mean"]) + np.array(SCALE["deviation"]) * batch.inputs[2].numpy()
        np.testing.assert_allclose(forecasts[1].past, past)
        if kind is GaussianHMM:
            (transitions,) = further
            assert isinstance(transitions, Matrix)
            first = (np.array(SCALE["mean"]) + SCALE["deviation"] * model.emissions.means[0].numpy()).tolist()
            assert transitions.rows[0] == f"0: {first[0]:.3g}, {first[1]:.3g}"
        else:
            smoothed, statement = further
            assert len(smoothed.output) == len(smoothed.target) == 8
            assert isinstance(statement, Statement)
    model = build(LinearDynamicalSystem)
    for scale, sentence in (
        (0.5**0.5, "The slowest part of the state is halved every 2 steps, and turns once in 8 steps."),
        (2.0, "The slowest part of the state grows 2 times a step, so that forecasts far ahead grow"),
    ):
        model.transition.zero_()
        turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)
        model.transition[:2, :2] = scale * turn
        assert model.samples([batch])[-1].text.startswith(sentence)


def command(folder, kind, name, index):
    return [
        *("fit", "--model", f"{kind.__module__}.{kind.__name__}", "--optimizer", "Adam"),
        *("--data", "test_topologies_series_model.Simulated", "--data.batch_size", "8"),
        *("--data.validation_size", "12", "--data.test_size", "6", "--data.train_batches", "10"),
        *(f"--optimizer.lr=0.0{index + 1}", f"--seed_everything={index}", "--trainer.gradient_clip_val=0.5"),
        *("--trainer.precision", "64-true", "--trainer.max_steps", "15", "--trainer.log_every_n_steps", "1"),
        *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
        *("--runs_dir", str(folder), "--name", f"{name}{index}"),
    ]


@pytest.mark.parametrize("kind", MODELS)
def test_packs_and_its_checkpoint_needs_no_data(tmp_path, capsys, kind):
    assert run_pack([command(tmp_path, kind, "packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command(tmp_path, kind, "solo", index)) == 0
        left, right = (pd.read_csv(tmp_path / f"{name}{index}/metrics.csv") for name in ("packed", "solo"))
        assert {"val/crps", "val/nrmse_5"} < set(left) == set(right)
        for column in left:
            # Lightning keeps validation metrics in float32 whatever the precision.
            rtol = 1e-8 if column.startswith("train/") else 2e-6
            pd.testing.assert_series_equal(left[column], right[column], rtol=rtol, atol=0)
    lines = (tmp_path / "packed0/samples.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["kind"] == "series"
    assert main(["predict", "--ckpt_path", str(tmp_path / "solo0/checkpoints/last.ckpt")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "solo0/predictions.jsonl").read_text().splitlines()]
    model = load_model(tmp_path / "packed0/checkpoints/last.ckpt", kind).double()
    batch = next(iter(Simulated(test_size=6).test_dataloader()))
    expected = model.predictions(Batch(batch.inputs.double(), batch.targets.double()))
    assert len(rows) == 6
    for row, wanted in zip(rows, expected, strict=True):
        np.testing.assert_allclose(row["prediction"], wanted["prediction"], rtol=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_refusals(kind):
    name, task = kind.__name__, Simulated().task
    size = "state_size" if kind is LinearDynamicalSystem else "states"
    with pytest.raises(UserError, match=rf"{size} is 0; .* at least 1\."):
        kind(task, **{size: 0})
    for band in (0.0, 1.0):
        with pytest.raises(UserError, match=rf"{name}: band is {band}; it must be above 0 and below 1\."):
            kind(task, band=band)
    with pytest.raises(UserError, match=rf"{name}: season is 0; it must be at least 1\."):
        kind(task, season=0)
    with pytest.raises(UserError, match=f"{name} takes data with the future of a series as its target; this"):
        kind(Task("vectors", 2, "values", 2, "step"))
    with pytest.raises(UserError, match=r"this data has 3 values a step as inputs and 2 values as targets\."):
        kind(Task("vectors", 3, "values", 2, "future"))
    model = kind(task, season=9)
    batch = Batch(*(part.float() for part in windows()[:2]))
    with pytest.raises(UserError, match=rf"{name}: season is 9, longer than the past, which has 8 steps\."):
        model.objective(batch)
    with pytest.raises(UserError, match=f"{name} takes windows whose pasts are all of one length"):
        model.measure(batch._replace(lengths=torch.tensor([8, 7, 8, 8])))


def trained(folder, kind, *options):
    """A model of windows of which all but the first step count in the loss."""
    further = ["--data.batch_size=64", "--data.train_batches=600", "--data.past=1", "--data.horizon=40"]
    further += ["--trainer.max_steps=600", "--trainer.log_every_n_steps=100"]
    assert main([*command(folder, kind, "run", 2), *further, *options]) == 0
    return load_model(folder / "run2/checkpoints/last.ckpt", kind).double()


def autocovariance(transition, output, noise, output_noise, lag):
    """E[x_{t+lag} x_tᵀ] of a system that has run for long."""
    stationary = solve_discrete_lyapunov(transition.detach(), (noise @ noise.mT).detach())
    of_state = torch.linalg.matrix_power(transition, lag) @ torch.as_tensor(stationary)
    return output @ of_state @ output.mT + (output_noise @ output_noise.mT if lag == 0 else 0)


@pytest.mark.slow
def test_recovers_a_linear_dynamical_system(tmp_path):
    """The state is known but for its coordinates: what they do not change is compared."""
    model = trained(tmp_path, LinearDynamicalSystem, "--model.state_size=2", "--optimizer.lr=0.01")
    eigenvalues = torch.linalg.eigvals(model.transition)
    above = eigenvalues[eigenvalues.imag.argmax()]
    assert abs(above - torch.linalg.eigvals(ROTATION)[0]) < 0.02
    unit = torch.eye(2, dtype=torch.float64)
    for lag in range(4):
        found = autocovariance(model.transition, model.output, *model.system()[2:], lag)
        wanted = autocovariance(ROTATION, OUTPUT, 0.3 * unit, 0.2 * unit, lag)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.08 * wanted.abs().max())


@pytest.mark.slow
def test_recovers_regimes(tmp_path):
    model = trained(tmp_path, GaussianHMM, "--data.regimes=true", "--model.states=3")
    order = [int((model.emissions.means - mean).square().sum(1).argmin()) for mean in MEANS]
    assert sorted(order) == [0, 1, 2]
    covariances = torch.diag_embed(DEVIATIONS.square().unsqueeze(1).expand(-1, 2))
    for found, wanted in (
        (model.emissions.means[order], MEANS),
        (model.emissions.covariances()[order], covariances),
        (model.chain.transition()[order][:, order], TRANSITION),
    ):
        torch.testing.assert_close(found, wanted.double(), rtol=0, atol=0.05)


@pytest.mark.parametrize("kind", [Forecaster, *MODELS])
def test_without_held_out_data_there_is_no_forecast_to_look_at(kind):
    # StopIteration, were it raised, would end the epoch without a word.
    samples = kind(Task("vectors", 2, "values", 2, "future", target_length=3)).samples([])
    assert not [sample for sample in samples if isinstance(sample, Series)]
