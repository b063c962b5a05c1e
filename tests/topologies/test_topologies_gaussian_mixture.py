"""Mixtures of normal distributions against numerical integration and draws."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
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
    """Every value's place, and its weights, means and deviations."""
    for place in np.ndindex(HORIZON, BATCH, VALUES):
        own = mixture.weights[place[:2]][0], mixture.means[place[2]], mixture.deviations[place[2]]
        yield place, tuple(part.numpy() for part in own)


def below(y, weights, means, deviations):
    return weights @ norm.cdf(y, means, deviations)


def above(y, weights, means, deviations):
    return weights @ norm.sf(y, means, deviations)


def test_mean_and_interval(mixture):
    low, high = mixture.interval(0.8)
    for place, own in each(mixture):
        assert mixture.mean[place].item() == pytest.approx(own[0] @ own[1])
        assert below(low[place].item(), *own) == pytest.approx(0.1, rel=1e-9)
        assert above(high[place].item(), *own) == pytest.approx(0.1, rel=1e-9)


def test_crps_is_the_integral_over_the_distribution(mixture):
    """CRPS = ∫ (F(x) - [x ≥ y])² dx."""
    targets = torch.randn(HORIZON, BATCH, VALUES)
    found = mixture.crps(targets)
    for place, own in each(mixture):
        y = targets[place].item()
        left = quad(lambda x, *own: below(x, *own) ** 2, -20, y, own, limit=200)[0]
        right = quad(lambda x, *own: above(x, *own) ** 2, y, 20, own, limit=200)[0]
        assert found[place].item() == pytest.approx(left + right, rel=1e-5)


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
