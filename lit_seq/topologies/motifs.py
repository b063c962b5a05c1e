"""Motifs: groups of windows that are alike where a model has put them, and how they follow each other."""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.nn.functional import one_hot

from lit_seq.topologies.markov_chain import forward, viterbi

Method = Literal["kmeans", "hmm"]

Points = NDArray[np.float64]
Labels = NDArray[np.int64]

ROUNDS = 50
"""Most rounds of the Baum-Welch algorithm."""

TOLERANCE = 1e-4
"""Nats a step that a round must gain for another one to follow."""

PIECE = 250
"""Steps of a series that the Baum-Welch algorithm reads as one, beside the other pieces."""

FLOOR = 1e-3
"""Least variance of a motif in any direction, where a prior has variance 1."""

BLOCK = 100
"""Consecutive windows that go to the same half of the data: neighbours share nearly all their frames."""


def find_motifs(points: Points, motifs: int, method: Method, smoothing: int) -> Labels:
    """Return the motif of each point, (points,), from 0, the most used, to `motifs` - 1.

    Args:
        points: in order of time, (points, size).
        motifs: how many to find; of fewer points, as many as there are.
        method: k-means, from the best of ten starts; or the likeliest states of a hidden Markov chain with
            Gaussians of full covariance, which begins at what k-means finds.
        smoothing: points around each, itself included, whose mean k-means groups in its place.
    """
    labels = _kmeans(smoothed(points, smoothing), motifs).labels_
    if method == "hmm" and len(points) > 1:
        # Gradients serve as counts, also where a model is only used.
        with torch.inference_mode(False), torch.enable_grad():
            labels = _states(torch.tensor(points), torch.tensor(labels, dtype=torch.int64)).numpy()
    by_usage = np.argsort(-np.bincount(labels, minlength=motifs), kind="stable")
    return np.argsort(by_usage)[labels]


def stability(points: Points, motifs: int, smoothing: int) -> float:
    """Return how well motifs found in one half of the data agree with those found in the other.

    Both halves, of alternate blocks of `BLOCK` points, are grouped by k-means, each grouping is extended to
    all points, and the two are compared by the adjusted Rand index: 1 for the same motifs, about 0 for motifs
    that have nothing to do with each other (after Lange et al. 2004, Neural Computation 16). A single point
    has no halves: nan.

    Args:
        points: in order of time, (points, size).
        motifs: how many to find.
        smoothing: see `find_motifs`.
    """
    if len(points) < 2:
        return float("nan")
    points = smoothed(points, smoothing)
    first = np.arange(len(points)) // min(BLOCK, len(points) // 2) % 2 == 0
    return adjusted_rand(*(_kmeans(points[half], motifs).predict(points) for half in (first, ~first)))


def smoothed(points: Points, width: int) -> Points:
    """Return for each point the mean of the `width` around it, or of as many as there are at the ends.

    Args:
        points: in order of time, (points, size).
        width: how many.
    """
    sums = np.concatenate([np.zeros_like(points[:1]), points.cumsum(0)])
    first = np.maximum(np.arange(len(points)) - (width - 1) // 2, 0)
    end = np.minimum(np.arange(len(points)) + width // 2 + 1, len(points))
    return (sums[end] - sums[first]) / (end - first)[:, None]


def adjusted_rand(one: Labels, other: Labels) -> float:
    """Return how well two groupings agree: 1 if they are the same, 0 on average if they are drawn at random.

    Source: Hubert & Arabie 1985, Journal of Classification 2, eq. 5.
    """
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(one, other))


def usage(labels: Labels, motifs: int) -> Points:
    """Return the part of all points that each motif has, (motifs,)."""
    return np.bincount(labels, minlength=motifs) / len(labels)


def transitions(labels: Labels, motifs: int) -> Points:
    """Return which motif follows where one ends, (motifs, motifs): rows sum to 1, or to 0 where none ends."""
    counts = np.zeros((motifs, motifs))
    for before, after in pairwise(labels):
        counts[before, after] += before != after
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def plane(points: Points) -> Points:
    """Return the first two principal components of `points`, (points, 2)."""
    centred = points - points.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    projected = centred @ axes[:2].T
    return np.pad(projected, ((0, 0), (0, 2 - projected.shape[1])))


def _kmeans(points: Points, motifs: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(min(motifs, len(points)), n_init=10, random_state=0).fit(points)


def _states(points: Tensor, labels: Tensor) -> Tensor:
    """Return the likeliest states of a hidden Markov chain that the Baum-Welch algorithm finds from `labels`.

    Its expected counts are gradients of the log likelihood L: of state k at step t ∂L/∂log b_k(x_t), and of
    moves from i to j A_ij ∂L/∂A_ij (Eisner 2016, "Inside-outside and forward-backward algorithms are just
    backprop"). Each move counts once beside those that are seen, so that none becomes impossible.

    Args:
        points: in order of time, (points, size).
        labels: their states at first, (points,).
    """
    count = int(labels.max()) + 1
    states = one_hot(labels, count).to(points)
    transition, belief = (
        _normalised(states[:-1].mT @ states[1:] + 1),
        torch.full((count,), 1 / count).to(points),
    )
    gaussians, best = _gaussians(points, states), -torch.inf
    steps = min(PIECE, len(points))
    pieces = points[: len(points) // steps * steps].unflatten(0, (-1, steps)).transpose(0, 1)
    for _ in range(ROUNDS):
        emissions = gaussians.log_prob(pieces.unsqueeze(-2)).requires_grad_()
        transition.requires_grad_()
        likelihood = forward(belief.expand(pieces.shape[1], -1), transition, emissions)[1].sum()
        seen, moved = torch.autograd.grad(likelihood, (emissions, transition))
        if likelihood / emissions[..., 0].numel() < best + TOLERANCE:
            break
        best = likelihood.item() / emissions[..., 0].numel()
        transition = _normalised(transition.detach() * moved + 1)
        gaussians = _gaussians(pieces.flatten(0, 1), seen.flatten(0, 1))
    with torch.no_grad():
        emissions = gaussians.log_prob(points.unsqueeze(-2)).unsqueeze(1)
        return viterbi(belief.unsqueeze(0), transition, emissions).squeeze(1)


def _normalised(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True)


def _gaussians(points: Tensor, weights: Tensor) -> MultivariateNormal:
    """Return the likeliest Gaussian of each state, whose covariance is at least `FLOOR` in each direction.

    Args:
        points: (points, size).
        weights: how much each counts for each state, (points, states).
    """
    shares = weights / weights.sum(0)
    means = shares.mT @ points
    centred = points - means.unsqueeze(1)
    covariances = (shares.mT.unsqueeze(-1) * centred).mT @ centred
    return MultivariateNormal(means, covariances + FLOOR * torch.eye(points.shape[1]).to(points))
