"""The autoencoder of motifs: its loss by hand, annealing, packs, checkpoints and what a person sees."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans
from torch.distributions import Normal, kl_divergence

from lit_seq.cells import GRU
from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import Stack
from lit_seq.data import IGNORED, Batch, SimulatedPoses, Task
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.samples import Map, Matrix, Series
from lit_seq.topologies import MotifAutoencoder
from lit_seq.topologies.motif_samples import convergence
from lit_seq.topologies.motifs import adjusted_rand, find_motifs

TASK = Task(
    *("vectors", 3, "values", 3, "future"),
    labels=("rest", "walk"),
    target_length=4,
    features=("a", "b", "c"),
    scale={"mean": [10.0, 20.0, 30.0], "deviation": [1.0, 2.0, 3.0]},
)


def build(**options):
    torch.manual_seed(0)
    core = partial(Stack, cell=GRU, hidden_size=5, bidirectional=True)
    return MotifAutoencoder(TASK, core, **{"latent_size": 4, "motifs": 2, **options})


def batch_of(size=6, known=True):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(size, 12, 3, generator=generator)
    motifs = torch.arange(size) % 2 if known else torch.full((size,), IGNORED)
    return Batch(values[:, :8], values[:, 8:], motifs=motifs)


@pytest.mark.usefixtures("double")
def test_the_loss_is_the_bound_and_how_far_the_batch_is_from_clusters():
    model, batch = build(kl_weight=0.7, cluster_weight=0.3).eval(), batch_of()
    measured = model.measure(batch)
    means, log_variances = model.embed(batch.inputs)
    encoded = model.encoder(batch.inputs.transpose(0, 1))[0]
    # The scan from the front ends at the last step, that from the back at the first.
    ends = torch.cat([encoded[-1, :, :5], encoded[0, :, 5:]], -1)
    torch.testing.assert_close(torch.cat([means, log_variances], -1), model.posterior(ends))
    said = [
        net.head(net.core(means.expand(steps, 6, 4))[0]).transpose(0, 1)
        for net, steps in ((model.reconstruction, 8), (model.prediction, 4))
    ]
    kl = kl_divergence(Normal(means, log_variances.mul(0.5).exp()), Normal(0.0, 1.0)).sum(1).mean()
    # -log p(x | z) with unit variance, less its constant
    errors = [-(Normal(y, 1.0).log_prob(x) - Normal(x, 1.0).log_prob(x)).sum((1, 2)).mean()
              for y, x in zip(said, (batch.inputs, batch.targets), strict=True)]  # fmt: skip
    cluster = torch.linalg.svdvals(means)[2:].square().sum() / 6
    expected = {
        "loss": sum(errors) + 0.7 * kl + 0.3 * cluster,
        "reconstruction": (said[0] - batch.inputs).square().mean(),
        "future": (said[1] - batch.targets).square().mean(),
        "kl": kl,
        "cluster": cluster,
    }
    torch.testing.assert_close(measured.means, expected, rtol=1e-10, atol=1e-12)
    assert measured.targets == 6
    assert torch.equal(measured.answers, means)
    # The relaxation is never above what k-means reaches.
    inertia = KMeans(2, n_init=10, random_state=0).fit(means.detach().numpy()).inertia_ / 6
    assert 0 < cluster.item() <= inertia


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("start", "steps", "weights"),
    [(2, 4, [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]), (3, 0, [0, 0, 0, 1, 1, 1, 1, 1])],
)
def test_the_divergence_sets_in_slowly_and_the_logged_loss_does_not_know(start, steps, weights):
    model, batch = build(kl_weight=0.8, kl_start=start, kl_steps=steps).eval(), batch_of()
    logged = model.measure(batch).means["loss"]
    for step, weight in enumerate(weights):
        model.trained_steps.fill_(step)
        objective, measured = model.objective(batch)
        torch.testing.assert_close(measured.means["loss"], logged)
        torch.testing.assert_close(logged - objective, 0.8 * (1 - weight) * measured.means["kl"])


@pytest.mark.usefixtures("double")
def test_training_draws_from_the_posterior_and_testing_takes_its_mean():
    model, drawn = build(), []
    model.reconstruction.register_forward_pre_hook(lambda net, given: drawn.append(given[0].detach()))
    with torch.no_grad():
        model.posterior.bias[4:] = torch.tensor([0.0, -1.0, -4.0, 1.0])
    batch = Batch(*(part.expand(5000, -1, -1) for part in batch_of(1)[:2]))
    model.measure(batch)
    means, log_variances = (part[0] for part in model.embed(batch.inputs[:1]))
    deviations = (log_variances / 2).exp()
    error = (drawn[0] - means) / deviations
    torch.testing.assert_close(error.mean(0), torch.zeros(4), atol=0.06, rtol=0)
    torch.testing.assert_close(error.T.cov(), torch.eye(4), atol=0.08, rtol=0)
    model.eval().measure(batch)
    assert torch.equal(drawn[1], model.embed(batch.inputs)[0])


def test_scores_are_of_all_windows_of_an_epoch():
    model = build()
    points, motifs = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) // 20
    points[motifs == 1] += 9
    answers = [torch.tensor(half) for half in np.split(points, 2)]
    batches = [batch_of(20)._replace(motifs=torch.tensor(half)) for half in np.split(motifs, 2)]
    rows = [row for batch, means in zip(batches, answers, strict=True) for row in model.rows(batch, means)]
    assert model.scored(rows)["adjusted_rand"] > 0.8
    assert build(smoothing=1).scored(rows)["adjusted_rand"] == 1
    unknown = model.rows(batch_of(20, known=False), answers[0]) + model.rows(batches[1], answers[1])
    assert model.scored(unknown)["adjusted_rand"] in (0.0, 1.0)
    assert set(model.scored(model.rows(batch_of(20)._replace(motifs=None), answers[0]))) == {"stability"}


def test_a_person_sees_windows_and_motifs():
    model = build(smoothing=1).eval()
    batches = [batch_of(50), batch_of(50)]
    samples = model.samples(iter(batches))
    assert [type(sample) for sample in samples] == [*[Series] * 4, *[Map] * 2, *[Matrix] * 3]
    told, foretold = samples[:2]
    scale, shift = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])
    torch.testing.assert_close(torch.tensor(told.target), batches[0].inputs[0] * scale + shift)
    torch.testing.assert_close(torch.tensor(foretold.past), batches[0].inputs[0] * scale + shift)
    output = model.decode(model.embed(batches[0].inputs[:1])[0], 8)[1][0]
    torch.testing.assert_close(torch.tensor(foretold.output), output * scale + shift)
    found = find_motifs(
        model.embed(torch.cat([b.inputs for b in batches]))[0].detach().double().numpy(), 2, "kmeans", 1
    )
    assert samples[4].groups == [f"motif {label}" for label in found]
    assert samples[5].groups == ["rest", "walk"] * 50
    assert samples[6].values == [[(found == 0).mean(), (found == 1).mean()]]
    assert samples[7].values == [[0, 1], [1, 0]]
    known = np.arange(100) % 2
    assert samples[8].values == [[np.mean(known[found == m] == k) for k in range(2)] for m in range(2)]
    assert len(model.samples([batch_of(5, known=False)])) == 7
    assert model.samples([]) == []


@pytest.mark.parametrize(
    ("losses", "stable", "verdict", "gain"),
    [
        ([9, 5, 5, 4.98, 5], 0.9, "Converged", "0.4%"),
        ([9, 5, 5, 4.98, 5], 0.7, "Not converged", "0.4%"),
        ([9, 5, 5, 4, 5], 0.9, "Not converged", "20.0%"),
        ([3, 5, 5, 4, 5], 0.9, "Converged", "0.0%"),
    ],
)
def test_convergence_is_said_by_its_rule(losses, stable, verdict, gain):
    text = convergence(losses, [0.1, stable]).text
    assert text.startswith(f"{verdict}: the last 3 validations gained {gain} of the loss")
    assert f"an adjusted Rand index of {stable:.2f}" in text
    few = "Whether the model has converged shows after 4 validations; so far there were 3."
    assert convergence(losses[:3], [0.9]).text == few


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"motifs": 1}, "MotifAutoencoder: motifs is 1; it must be at least 2"),
        ({"latent_size": 0}, "latent_size is 0; it must be at least 1"),
        ({"smoothing": 0}, "smoothing is 0; it must be at least 1"),
        ({"kl_weight": -0.1}, r"kl_weight is -0\.1; it must be at least 0"),
        ({"cluster_weight": 0.1, "motifs": 4}, "with 4 latent values any batch is as good as in 4 clusters"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(UserError, match=match):
        build(**options)


def test_other_data_is_refused():
    core = partial(Stack, cell=GRU)
    with pytest.raises(
        UserError, match="MotifAutoencoder takes data with the future of a series as its target"
    ):
        MotifAutoencoder(Task("vectors", 3, "values", 3, "step"), core)
    other = Task("vectors", 3, "values", 1, "future", target_length=4)
    with pytest.raises(
        UserError, match="takes windows and futures of the same values; this data has 3 values"
    ):
        MotifAutoencoder(other, core)


COMMON = [
    *("--model", "MotifAutoencoder", "--model.core.cell", "GRU", "--model.core.hidden_size", "5"),
    *("--model.core.bidirectional", "true", "--model.latent_size", "4", "--model.motifs", "3"),
    *("--data", "SimulatedPoses", "--data.frames", "300", "--data.batch_size", "16", "--data.window", "8"),
    *("--data.future", "4", "--data.recordings", "1", "--model.kl_steps", "20", "--trainer.max_steps", "30"),
    *("--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "10"),
    *("--trainer.log_every_n_steps", "1", "--trainer.precision", "64-true"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]


def command(folder, name, index, *options):
    own = ["--seed_everything", str(index), "--runs_dir", str(folder), "--name", f"{name}{index}"]
    return ["fit", *COMMON, *own, *options]


def test_packed_trials_equal_solo_runs(tmp_path, capsys):
    extra = [
        ["--model.kl_weight", str(kl), "--model.cluster_weight", str(cluster), "--model.kl_start", str(start)]
        for kl, cluster, start in ((1.0, 0.0, 0), (0.3, 0.5, 5), (0.0, 0.1, 25))
    ]
    assert run_pack([command(tmp_path, "packed", index, *extra[index]) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command(tmp_path, "solo", index, *extra[index])) == 0
        alone, stacked = (pd.read_csv(tmp_path / f"{name}{index}/metrics.csv") for name in ("solo", "packed"))
        assert sorted(alone) == sorted(stacked)
        assert {"val/adjusted_rand", "val/stability", "val/cluster"} <= set(alone)
        for column in alone:
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(alone[column], stacked[column], rtol=rtol, atol=0)
        left, right = (
            torch.load(tmp_path / f"{name}{index}/checkpoints/last.ckpt", weights_only=True)
            for name in ("solo", "packed")
        )
        assert left["hyper_parameters"] == right["hyper_parameters"]
        torch.testing.assert_close(left["state_dict"], right["state_dict"], rtol=1e-8, atol=1e-10)
        said = [(tmp_path / f"{name}{index}/samples.jsonl").read_text() for name in ("solo", "packed")]
        lines = [[json.loads(line) for line in text.splitlines()] for text in said]
        remarks = [[line["text"] for line in own if line["kind"] == "statement"] for own in lines]
        assert remarks[0] == remarks[1]
        assert [text[-2:] for text in remarks[0]] == ["0.", "1.", "2."]


@pytest.mark.parametrize("method", ["kmeans", "hmm"])
def test_a_checkpoint_embeds_without_data_and_predict_finds_motifs(tmp_path, method):
    assert main(command(tmp_path, "run", 0, "--model.method", method)) == 0
    path = tmp_path / "run0/checkpoints/last.ckpt"
    assert main(["predict", "--ckpt_path", str(path)]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run0/predictions.jsonl").read_text().splitlines()]
    data = SimulatedPoses(frames=300, window=8, future=4, recordings=1)
    windows = data.loader("test").batches
    batch = windows[list(range(len(windows)))]
    batch = batch._replace(inputs=batch.inputs.double(), targets=batch.targets.double())
    model = load_model(path, MotifAutoencoder).double().eval()
    means = model.embed(batch.inputs)[0].detach().numpy()
    np.testing.assert_allclose([row["latent"] for row in rows], means, rtol=0, atol=1e-6)
    assert [row["motif"] for row in rows] == find_motifs(means, 3, method, 30).tolist()
    assert [row["known_motif"] for row in rows] == [data.task.labels[motif] for motif in batch.motifs]
    plain = model.predictions(batch)
    assert set(plain[0]) == {"latent", "reconstruction_error", "future_error", "known_motif"}
    output = model.reconstruction(torch.tensor(means), 8)
    errors = (output - batch.inputs).square().mean((1, 2)).sqrt().tolist()
    np.testing.assert_allclose([row["reconstruction_error"] for row in plain], errors)


@pytest.mark.proof
def test_motifs_of_simulated_poses_are_found(tmp_path):
    config = Path(__file__).parents[2] / "sweeps/base/simulated-poses.yaml"
    options = ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]
    arguments = [
        "fit",
        "--config",
        str(config),
        "--runs_dir",
        str(tmp_path),
        "--name",
        "run",
        "--seed_everything",
        "0",
    ]
    assert main([*arguments, *options]) == 0
    found = pd.read_csv(tmp_path / "run/metrics.csv")["val/adjusted_rand"].dropna().iloc[-1]
    windows = SimulatedPoses(validation_fraction=0.2, test_fraction=0.2).loader("validation").batches
    batch = windows[list(range(len(windows)))]
    points, known = batch.inputs.flatten(1).double().numpy(), batch.motifs.numpy()
    raw = max(adjusted_rand(known, find_motifs(points, 7, "kmeans", smoothing)) for smoothing in (1, 30))
    assert found > 0.7
    # What the frames themselves say by k-means, smoothed or not, is less.
    assert found > raw + 0.05
