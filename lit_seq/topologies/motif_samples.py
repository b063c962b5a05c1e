"""What a person looks at to judge motifs."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.samples import Map, Matrix, Sample, Series, Statement
from lit_seq.topologies.motifs import Labels, Points, plane, transitions, usage

if TYPE_CHECKING:
    from lit_seq.topologies.motif_autoencoder import MotifAutoencoder

LOOKED_AT = 4000
"""Most windows whose motifs are looked at."""

DRAWN = 600
"""Most windows that are drawn on a map."""

SETTLED_LOSS = 0.01
"""Part of the loss that `LATEST` validations may still gain when it has settled."""

LATEST = 3

SETTLED_MOTIFS = 0.8
"""Least agreement of motifs that are found in two halves of the data, when they have settled."""


@torch.no_grad()
def look(model: "MotifAutoencoder", batches: Iterable[Batch]) -> list[Sample]:
    """Return two windows as the model tells them, its latent space and its motifs.

    Args:
        model: the autoencoder.
        batches: windows in the order of time.
    """
    means, known, first = [], [], None
    for batch in batches:
        means.append(model.embed(batch.inputs)[0])
        known.append(torch.full((len(batch.inputs),), IGNORED) if batch.motifs is None else batch.motifs)
        first = first or batch
        if sum(map(len, means)) >= LOOKED_AT:
            break
    if first is None:
        return []
    points = torch.cat(means).double().cpu().numpy()
    labels = model.find(points)
    return [
        *_series(model, first),
        *_maps(points, labels, torch.cat(known).cpu().numpy(), model.task.labels or ()),
        *_matrices(labels, torch.cat(known).cpu().numpy(), model.motifs, model.task.labels or ()),
    ]


def convergence(losses: Sequence[float], stable: Sequence[float]) -> Statement:
    """Say whether the model has converged, and why: both its loss and its motifs have to settle.

    The loss has if the best of the last `LATEST` validations is not more than `SETTLED_LOSS` better than the
    best before them; the motifs, if those found in two halves of the data of the last validation agree with
    an adjusted Rand index of at least `SETTLED_MOTIFS`.

    Args:
        losses: of all validations so far.
        stable: the agreement in each (`lit_seq.topologies.motifs.stability`).
    """
    if len(losses) <= LATEST or not stable:
        return Statement(
            f"Whether the model has converged shows after {LATEST + 1} validations; so far there were"
            f" {len(losses)}."
        )
    before, latest = min(losses[:-LATEST]), min(losses[-LATEST:])
    gain = max(0.0, (before - latest) / abs(before))
    settled = gain <= SETTLED_LOSS and stable[-1] >= SETTLED_MOTIFS
    return Statement(
        f"{'Converged' if settled else 'Not converged'}: the last {LATEST} validations gained {gain:.1%} of"
        f" the loss, and it has settled at {SETTLED_LOSS:.0%} or less; motifs found in two halves of the data"
        f" agree with an adjusted Rand index of {stable[-1]:.2f}, and they have settled at"
        f" {SETTLED_MOTIFS} or more."
    )


def _series(model: "MotifAutoencoder", batch: Batch) -> list[Series]:
    """Return the first and the last window of a batch, reconstructed, and their futures."""
    rows = sorted({0, len(batch.inputs) - 1})
    inputs, targets = batch.inputs[rows], batch.targets[rows]
    told, foretold = model.decode(model.embed(inputs)[0], inputs.shape[1])
    scale = model.task.scale
    features = list(model.task.features or map(str, range(1, inputs.shape[2] + 1)))

    def plain(values: Tensor) -> list[list[float]]:
        if scale is None:
            return values.tolist()
        deviation, mean = (values.new_tensor(scale[name]) for name in ("deviation", "mean"))
        return (values * deviation + mean).tolist()

    series = []
    for row, x, y, x_told, y_told in zip(rows, inputs, targets, told, foretold, strict=True):
        series += [
            Series(f"Window {row + 1}, reconstructed", features, [], plain(x), plain(x_told)),
            Series(f"Window {row + 1} and its future", features, plain(x), plain(y), plain(y_told)),
        ]
    return series


def _maps(points: Points, labels: Labels, known: Labels, names: Sequence[str]) -> list[Map]:
    """Return the latent space as a plane, coloured by the motifs found and by those known."""
    drawn = np.linspace(0, len(points) - 1, min(DRAWN, len(points))).astype(int)
    places = [(float(x), float(y)) for x, y in plane(points)[drawn]]
    maps = [Map("Latent space, by motif", places, [f"motif {label}" for label in labels[drawn]])]
    if (known != IGNORED).any():
        groups = ["unknown" if label == IGNORED else names[label] for label in known[drawn]]
        maps.append(Map("Latent space, by what is known", places, groups))
    return maps


def _matrices(labels: Labels, known: Labels, motifs: int, names: Sequence[str]) -> list[Matrix]:
    """Return how much each motif is used, which follows which, and what is known of each."""
    called = [f"motif {label}" for label in range(motifs)]
    matrices = [
        Matrix(
            "Part of the windows that each motif has", ["usage"], called, [usage(labels, motifs).tolist()]
        ),
        Matrix("Which motif follows where one ends", called, called, transitions(labels, motifs).tolist()),
    ]
    if (told := known != IGNORED).any():
        counts = np.zeros((motifs, len(names)))
        np.add.at(counts, (labels[told], known[told]), 1)
        parts = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        matrices.append(Matrix("What is known of each motif's windows", called, list(names), parts.tolist()))
    return matrices
