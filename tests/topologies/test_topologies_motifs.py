"""Motifs: groups of points in order of time, against libraries and hand counts."""

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from sklearn.decomposition import PCA

from lit_seq.topologies.motifs import (
    FLOOR,
    adjusted_rand,
    find_motifs,
    plane,
    smoothed,
    stability,
    transitions,
    usage,
)

CENTRES = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])


def chain(steps, spread, stay=0.95, seed=0):
    """Return points around the centre of a state that mostly stays, and the states."""
    random = np.random.default_rng(seed)
    states = [0]
    while len(states) < steps:
        move = random.random() > stay
        states.append((states[-1] + random.integers(1, 3)) % 3 if move else states[-1])
    states = np.array(states)
    return CENTRES[states] + spread * random.normal(size=(steps, 2)), states


def test_smoothing_is_the_mean_of_neighbours():
    points = np.random.default_rng(0).normal(size=(9, 2))
    for width in (1, 2, 5, 30):
        before, behind = (width - 1) // 2, width // 2
        wanted = [points[max(0, i - before) : i + behind + 1].mean(0) for i in range(9)]
        np.testing.assert_allclose(smoothed(points, width), wanted, atol=1e-12)


@pytest.mark.parametrize("method", ["kmeans", "hmm"])
def test_motifs_are_found_and_numbered_by_usage(method):
    points, states = chain(600, 0.1)
    labels = find_motifs(points, 3, method, 1)
    assert adjusted_rand(labels, states) == 1
    counts = np.bincount(labels)
    assert (np.diff(counts) <= 0).all()
    assert sorted(counts) == sorted(np.bincount(states))
    assert find_motifs(points[:2], 3, method, 1).tolist() in ([0, 0], [0, 1], [1, 0])
    assert find_motifs(points[:1], 3, method, 1).tolist() == [0]


def test_time_tells_what_a_single_point_does_not():
    points, states = chain(2000, 0.9)
    agreement = {
        "point by point": adjusted_rand(find_motifs(points, 3, "kmeans", 1), states),
        "smoothed": adjusted_rand(find_motifs(points, 3, "kmeans", 7), states),
        "chain": adjusted_rand(find_motifs(points, 3, "hmm", 7), states),
    }
    assert agreement["point by point"] < 0.5
    assert agreement["smoothed"] > agreement["point by point"] + 0.2
    assert agreement["chain"] > 0.8


def test_the_chain_is_that_of_hmmlearn():
    points, _ = chain(240, 0.9)
    start = find_motifs(points, 3, "kmeans", 1)
    ours = find_motifs(points, 3, "hmm", 1)
    theirs = GaussianHMM(
        3, "full", min_covar=FLOOR, covars_prior=0, covars_weight=0, means_prior=0, transmat_prior=2.0,
        init_params="", params="tmc", n_iter=200, tol=1e-4 * 240,
    )  # fmt: skip
    theirs.startprob_ = np.full(3, 1 / 3)
    moves = np.ones((3, 3))
    np.add.at(moves, (start[:-1], start[1:]), 1)
    theirs.transmat_ = moves / moves.sum(1, keepdims=True)
    theirs.means_ = np.stack([points[start == state].mean(0) for state in range(3)])
    theirs.covars_ = np.stack([np.cov(points[start == s].T, bias=True) + FLOOR * np.eye(2) for s in range(3)])
    theirs.fit(points)
    assert adjusted_rand(ours, theirs.predict(points)) > 0.97
    assert adjusted_rand(ours, start) < 0.9


def test_usage_and_what_follows_what():
    labels = np.array([0, 0, 1, 1, 0, 2, 0, 0, 1])
    assert usage(labels, 4).tolist() == [5 / 9, 3 / 9, 1 / 9, 0]
    assert transitions(labels, 4).tolist() == [
        [0, 2 / 3, 1 / 3, 0],
        [1, 0, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_stable_motifs_are_those_that_both_halves_have():
    points, _ = chain(1000, 0.1)
    assert stability(points, 3, 1) == 1
    noise = np.random.default_rng(0).normal(size=(1000, 10))
    assert stability(noise, 8, 1) < 0.5
    # Each half has its own groups, of which the other knows nothing.
    apart = np.where((np.arange(1000) // 100 % 2 == 0)[:, None], points, points[:, ::-1] * [1, 0.01] + [9, 0])
    assert stability(apart, 3, 1) < 0.6
    assert np.isnan(stability(points[:1], 3, 1))
    assert np.isfinite(stability(points[:3], 5, 1))


def test_the_plane_is_that_of_the_principal_components():
    points = np.random.default_rng(0).normal(size=(50, 4)) * [1, 5, 2, 1]
    wanted = PCA(2).fit_transform(points)
    found = plane(points)
    for axis in range(2):
        sign = np.sign(found[0, axis] * wanted[0, axis])
        np.testing.assert_allclose(sign * found[:, axis], wanted[:, axis], atol=1e-9)
    assert plane(points[:, :1]).shape == (50, 2)
