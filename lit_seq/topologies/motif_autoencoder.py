"""A window of a series in, itself and its future out, through a latent Gaussian that falls into motifs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lit_seq.cores import Core, CoreState, Stack
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.processes import own_part
from lit_seq.samples import Sample, Statement
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.motif_samples import convergence, look
from lit_seq.topologies.motifs import Labels, Method, Points, adjusted_rand, find_motifs, stability
from lit_seq.topologies.topology import Topology


class GaussianNoise(nn.Dropout):
    """x ⊙ ε with ε ~ N(0, 1) in training: a dropout module, as a pack draws for each trial from those."""

    def forward(self, values: Tensor) -> Tensor:
        """Return `values` times noise."""
        return values * torch.randn_like(values)


class MotifAutoencoder(Topology):
    """A variational autoencoder of windows of a series, after VAME, and the motifs that they fall into.

    With a window x of w steps and the future y of f steps behind it:

        h = core(x) at its end,      μ, log σ² = W h + b
        z = μ + σ ⊙ ε,  ε ~ N(0, I)                              (Kingma & Welling 2014, eq. 10)
        x̂ = V core'(z, …, z) + c,    ŷ = V' core''(z, …, z) + c'

    z enters the two decoders at each step. Training minimises, a window on average,

        ½‖x - x̂‖² + ½‖y - ŷ‖² + β_t KL[N(μ, σ²) ‖ N(0, I)] + λ K

    in nats, less constants: the future keeps z to the dynamics (Srivastava et al. 2015). β_t is 0 for
    `kl_start` steps and rises to `kl_weight` in `kl_steps` further ones (Bowman et al. 2016, section 3.1). K,
    the sum of the eigenvalues of MᵀM/n beyond the `motifs` largest, with M the batch's n rows μ, is how far
    the batch is at least from so many clusters: the spectral relaxation of k-means (Zha et al. 2001; Ma et
    al. 2019, "Learning representations for time series clustering"). The losses that are logged have the full
    β at all steps, so that they can be compared.

    Motifs are groups of μ. They are found anew in whatever data is looked at, whose windows come in the order
    of time, and numbered by how much they are used. The μ of an animal that walks go round in a circle with
    its steps; k-means would cut the circle into several motifs, and groups means over `smoothing` windows
    instead.

    Source: Luxem et al. 2022, "Identifying behavioral structure from deep variational embeddings of animal
    motion", Communications Biology 5:1267 (there λ is 0.1; its authors advise 0 where motifs are mixed).

    Metrics: reconstruction and future, mean squared errors a value; kl, in nats; cluster, K; adjusted_rand,
    how well motifs agree with those that the data knows (where it does); stability, how well motifs found in
    two halves of the data agree. See `lit_seq.topologies.motifs`.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the encoder and, with parameters of their own, both decoders: a `Core` class with its options;
            in the paper a bidirectional `Stack` of two layers of `GRU`.
        latent_size: values of z.
        motifs: how many to find.
        method: what finds them: k-means, or a hidden Markov model with Gaussians of full covariance that
            starts from what k-means finds.
        smoothing: consecutive windows over which k-means averages μ; 1, as in the paper: none.
        kl_weight: β.
        kl_start: steps before β_t begins to rise.
        kl_steps: steps in which it rises.
        cluster_weight: λ; above 0 there must be more latent values than motifs.

    Raises:
        UserError: an option is out of its range, or the data's futures are not of the values of its windows.
    """

    values: ClassVar[tuple[str, ...]] = ("kl_weight", "kl_start", "kl_steps", "cluster_weight")
    metrics: ClassVar[tuple[str, ...]] = (
        *("loss", "reconstruction", "future", "kl", "cluster", "adjusted_rand", "stability"),
    )
    alignments = ("future",)
    kinds = ("vectors",)
    scheduled = True

    kl_weight: Tensor
    kl_start: Tensor
    kl_steps: Tensor
    cluster_weight: Tensor

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        latent_size: int = 16,
        motifs: int = 10,
        method: Method = "kmeans",
        smoothing: int = 30,
        kl_weight: float = 1.0,
        kl_start: int = 0,
        kl_steps: int = 500,
        cluster_weight: float = 0.0,
    ) -> None:
        weights = {"kl_weight": kl_weight, "cluster_weight": cluster_weight}
        schedule = {"kl_start": kl_start, "kl_steps": kl_steps}
        super().__init__(
            task,
            core=core,
            latent_size=latent_size,
            motifs=motifs,
            method=method,
            smoothing=smoothing,
            **weights,
            **schedule,
        )
        for name, least, value in (
            ("latent_size", 1, latent_size),
            ("motifs", 2, motifs),
            ("smoothing", 1, smoothing),
            *((name, 0, value) for name, value in (weights | schedule).items()),
        ):
            if value < least:
                raise UserError(f"MotifAutoencoder: {name} is {value}; it must be at least {least}.")
        if cluster_weight > 0 and motifs >= latent_size:
            raise UserError(
                f"MotifAutoencoder: with {latent_size} latent values any batch is as good as in {motifs}"
                " clusters to cluster_weight, which must be 0 unless latent_size is above motifs."
            )
        features = self.task.input_size
        if self.task.targets != "values" or self.task.target_size != features:
            raise UserError(
                "MotifAutoencoder takes windows and futures of the same values; this data has"
                f" {features} values a step as inputs and {self.task.target_size} {self.task.targets} as"
                " targets."
            )
        self.motifs, self.method, self.smoothing = motifs, method, smoothing
        self.encoder = core(features)
        self.posterior = nn.Linear(self.encoder.output_size, 2 * latent_size)
        self.noise = GaussianNoise()
        self.reconstruction = _Decoder(core, latent_size, features)
        self.prediction = _Decoder(core, latent_size, features)
        for name, value in (weights | schedule).items():
            self.register_buffer(name, torch.tensor(float(value)))

    def embed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ and log σ² of windows (batch, window, features), (batch, latent) each."""
        _, state = self.encoder(inputs.transpose(0, 1))
        return self.posterior(self.encoder.summary(state)).chunk(2, -1)

    def decode(self, latents: Tensor, window: int) -> tuple[Tensor, Tensor]:
        """Return x̂ (batch, window, features) and ŷ (batch, future, features) of z (batch, latent)."""
        assert self.task.target_length is not None
        return self.reconstruction(latents, window), self.prediction(latents, self.task.target_length)

    def find(self, means: Points) -> Labels:
        """Return the motif of each μ, (windows,), of windows in the order of time, (windows, latent)."""
        return find_motifs(means, self.motifs, self.method, self.smoothing)

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return loss and metrics of one batch, the loss with the full weight of the KL divergence."""
        return self._measured(*self._terms(batch))

    def objective(self, batch: Batch, state: CoreState | None = None) -> tuple[Tensor, Measured]:
        """Return what training minimises, with the KL divergence weighted by β_t, and what one batch says."""
        terms, means = self._terms(batch)
        progress = (self.trained_steps - self.kl_start) / self.kl_steps.clamp(min=1)
        # A rise of no steps is over at its first one.
        weight = self.kl_weight * torch.where(self.kl_steps > 0, progress, progress + 1).clamp(0, 1)
        return own_part(self._loss(terms, weight), len(means), batch), self._measured(terms, means)

    def rows(self, batch: Batch, answers: Tensor) -> list[list[float]]:
        """Return μ of each window, and the motif that it is known to show."""
        known = torch.full((len(answers),), IGNORED) if batch.motifs is None else batch.motifs
        return torch.cat([answers.double(), known.to(answers.device).unsqueeze(1)], 1).tolist()

    def scored(self, rows: list[list[float]]) -> dict[str, float]:
        """Return how stable motifs are, and how well they agree with those that are known."""
        table = np.array(rows)
        points, known = table[:, :-1], table[:, -1].astype(np.int64)
        scores = {"stability": stability(points, self.motifs, self.smoothing)}
        if (told := known != IGNORED).any():
            scores["adjusted_rand"] = adjusted_rand(known[told], self.find(points)[told])
        return scores

    @torch.no_grad()
    def on_predict_start(self) -> None:
        """Find the motifs of all that is to be predicted."""
        loader: Any = self.trainer.predict_dataloaders
        means = [self.embed(batch.inputs.to(self.posterior.weight))[0] for batch in loader]
        points = torch.cat(means).double().cpu().numpy()
        self._found = iter(self.find(points).tolist())

    def predict_step(self, batch: Batch, batch_idx: int) -> list[dict[str, Any]]:
        """Return `predictions` with the motif of each window."""
        return [{"motif": next(self._found), **row} for row in self.predictions(batch)]

    @torch.no_grad()
    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return where each window lies, how well it and its future are told from that, and its known motif.

        Errors are root mean squares in standard deviations of a feature. The motif that is found depends on
        the other windows: `lit-seq predict` adds it.
        """
        means = self.embed(batch.inputs)[0]
        said = zip(self.decode(means, batch.inputs.shape[1]), (batch.inputs, batch.targets), strict=True)
        errors = [(output - target).square().mean((1, 2)).sqrt().tolist() for output, target in said]
        known = [None] * len(means) if batch.motifs is None else batch.motifs.tolist()
        names = self.task.labels or ()
        return [
            {
                "latent": latent,
                "reconstruction_error": past,
                "future_error": future,
                **({"known_motif": names[motif]} if motif is not None and motif != IGNORED else {}),
            }
            for latent, past, future, motif in zip(means.tolist(), *errors, known, strict=True)
        ]

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return windows beside what the model makes of them, its latent space and its motifs."""
        return look(self, batches)

    def remarks(self, validations: Mapping[str, Sequence[float]]) -> list[Statement]:
        """Return whether the model has converged."""
        return [convergence(validations.get("val/loss", []), validations.get("val/stability", []))]

    def _measured(self, terms: "_Terms", means: Tensor) -> Measured:
        said = {name: value.detach() for name, value in terms._asdict().items() if name != "error"}
        loss = self._loss(terms, self.kl_weight)
        return Measured({"loss": loss, **said}, torch.tensor(len(means)), (), means.detach())

    def _loss(self, terms: "_Terms", kl_weight: Tensor) -> Tensor:
        return terms.error + kl_weight * terms.kl + self.cluster_weight * terms.cluster

    def _terms(self, batch: Batch) -> tuple["_Terms", Tensor]:
        """Return what the loss is made of, and μ, (batch, latent)."""
        means, log_variances = self.embed(batch.inputs)
        latents = means + self.noise((0.5 * log_variances).exp()) if self.training else means
        said = self.decode(latents, batch.inputs.shape[1])
        window, future = (
            (output - target).square().sum((1, 2)).mean()
            for output, target in zip(said, (batch.inputs, batch.targets), strict=True)
        )
        kl = 0.5 * (means.square() + log_variances.exp() - 1 - log_variances).sum(1).mean()
        # The smallest come first, those that so many clusters cannot account for.
        beyond = max(0, means.shape[1] - self.motifs)
        cluster = torch.linalg.eigvalsh(means.mT @ means / len(means))[:beyond].sum()
        return (
            _Terms(
                error=0.5 * (window + future),
                reconstruction=window / batch.inputs[0].numel(),
                future=future / batch.targets[0].numel(),
                kl=kl,
                cluster=cluster,
            ),
            means,
        )


class _Terms(NamedTuple):
    """What one batch's loss is made of, each a scalar, a mean over windows."""

    error: Tensor
    reconstruction: Tensor
    future: Tensor
    kl: Tensor
    cluster: Tensor


class _Decoder(nn.Module):
    """Steps from one latent vector, which enters at each of them."""

    def __init__(self, core: Callable[[int], Core], latent_size: int, features: int) -> None:
        super().__init__()
        self.core = core(latent_size)
        self.head = nn.Linear(self.core.output_size, features)

    def forward(self, latents: Tensor, steps: int) -> Tensor:
        """Return (batch, steps, features) of latents (batch, latent)."""
        outputs, _ = self.core(latents.expand(steps, *latents.shape))
        return self.head(outputs).transpose(0, 1)
