"""Mixtures of normal distributions against numerical integration and draws."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from lit_seq.topologies.forecast_scores import crps
from lit_seq.topologies.gaussian_mixture import GaussianMixture

pytestmark = pytest.mark.usefixtures("double")

HORIZON, BATCH, VALUES = 2, 3, 2


@pytest.fixture(params=[1, 4])
def mixture(request):
    torch.manual_seed(0)
    components = request.param
    weights = torch.rand(HORIZON, BATCH, 1, components)
    return GaussianMixture(
        weights / weights.sum(-1, keepdim=True),
        2 * torch.randn(VALUES, components),
        0.1 + torch.rand(VALUES, components),
    )


def each(mixture):
    """Every value's weights, means and deviations, with its place."""
    for place in np.ndindex(HORIZON, BATCH, VALUES):
        yield (
            place,
            *(
                part.numpy()
                for part in (
                    mixture.weights[place[:2]][0],
                    mixture.means[place[2]],
                    mixture.deviations[place[2]],
                )
            ),
        )


def test_mean_and_interval(mixture):
    low, high = mixture.interval(0.8)
    for place, weights, means, deviations in each(mixture):
        assert mixture.mean[place].item() == pytest.approx((weights * means).sum())
        for end, probability in ((low, 0.1), (high, 0.9)):
            wanted = brentq(lambda y, p=probability: weights @ norm.cdf(y, means, deviations) - p, -99, 99)
            assert end[place].item() == pytest.approx(wanted, rel=1e-9)


def test_crps_is_the_integral_over_the_distribution(mixture):
    """CRPS = ∫ (F(x) - [x ≥ y])² dx."""
    targets = torch.randn(HORIZON, BATCH, VALUES)
    found = mixture.crps(targets)
    for place, weights, means, deviations in each(mixture):
        y = targets[place].item()
        below = quad(lambda x: (weights @ norm.cdf(x, means, deviations)) ** 2, -20, y, limit=200)[0]
        above = quad(lambda x: (weights @ norm.sf(x, means, deviations)) ** 2, y, 20, limit=200)[0]
        assert found[place].item() == pytest.approx(below + above, rel=1e-5)


def test_crps_is_that_of_many_paths(mixture):
    targets = torch.randn(HORIZON, BATCH, VALUES)
    paths = 4000
    chosen = torch.multinomial(mixture.weights.flatten(0, 2), paths, replacement=True).mT
    chosen = chosen.reshape(paths, HORIZON, BATCH, 1).expand(-1, -1, -1, VALUES).unsqueeze(-1)
    means, deviations = (
        part.expand(paths, HORIZON, BATCH, *part.shape).gather(-1, chosen).squeeze(-1)
        for part in (mixture.means, mixture.deviations)
    )
    drawn = (means + deviations * torch.randn_like(means)).sort(0).values
    torch.testing.assert_close(mixture.crps(targets), crps(drawn, targets), rtol=0, atol=0.08)
