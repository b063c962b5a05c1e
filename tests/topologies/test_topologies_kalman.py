"""Kalman filter and smoother against the joint normal distribution of a whole series, and statsmodels."""

import numpy as np
import pytest
import torch
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother
from torch.func import vmap

from lit_seq.topologies.kalman import Belief, LinearGaussian, forecast, kalman_filter, kalman_smoother

STATES, VALUES, STEPS, BATCH = 3, 2, 7, 4


def factor(size, generator):
    drawn = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return (0.3 * drawn).tril(-1) + torch.diag(0.2 + drawn.diagonal().abs())


def example(seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    system = LinearGaussian(
        0.6 * draw(STATES, STATES), draw(VALUES, STATES), factor(STATES, generator), factor(VALUES, generator)
    )
    belief = Belief(draw(1, STATES).expand(BATCH, -1), factor(STATES, generator))
    return system, belief, draw(STEPS, BATCH, VALUES), draw(STEPS, BATCH, STATES)


def joint(system, belief, drive):
    """Mean and covariance of all states one under the other, and what makes all observations of them."""
    a, c, q, r = system
    means, spreads = [belief.mean], [belief.factor @ belief.factor.mT]
    for t in range(STEPS - 1):
        means.append(means[-1] @ a.mT + drive[t])
        spreads.append(a @ spreads[-1] @ a.mT + q @ q.mT)
    covariance = torch.empty(STEPS, STEPS, STATES, STATES, dtype=torch.float64)
    for early in range(STEPS):
        for late in range(early, STEPS):
            covariance[late, early] = torch.linalg.matrix_power(a, late - early) @ spreads[early]
            covariance[early, late] = covariance[late, early].mT.clone()
    covariance = covariance.transpose(1, 2).reshape(STEPS * STATES, STEPS * STATES)
    return (
        torch.cat(means, 1),
        covariance,
        torch.block_diag(*[c] * STEPS),
        torch.block_diag(*[r @ r.mT] * STEPS),
    )


def flat(by_step):
    return by_step.transpose(0, 1).flatten(1)


def test_filter_smoother_and_forecast_are_conditionals_of_the_joint_distribution():
    system, belief, observed, drive = example()
    mean, covariance, output, noise = joint(system, belief, drive)
    spread = output @ covariance @ output.mT + noise
    seen = torch.distributions.MultivariateNormal(mean @ output.mT, spread)

    filtered = kalman_filter(system, belief, observed, drive)
    torch.testing.assert_close(
        filtered.log_densities.sum(0), seen.log_prob(flat(observed)), rtol=1e-12, atol=0
    )
    half = kalman_filter(system, belief, observed[:4], drive[:4])
    torch.testing.assert_close(half.ahead.mean, filtered.means[4], rtol=1e-12, atol=1e-12)

    gain = covariance @ output.mT @ torch.linalg.inv(spread)
    means, covariances = kalman_smoother(system, filtered)
    wanted = mean + (flat(observed) - mean @ output.mT) @ gain.mT
    torch.testing.assert_close(flat(means), wanted, rtol=1e-10, atol=1e-12)
    left = (
        (covariance - gain @ output @ covariance).unflatten(0, (STEPS, STATES)).unflatten(2, (STEPS, STATES))
    )
    for t in range(STEPS):
        torch.testing.assert_close(covariances[t], left[t, :, t], rtol=1e-10, atol=1e-12)

    means, deviations = forecast(system, belief, STEPS, drive)
    torch.testing.assert_close(flat(means), mean @ output.mT, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(deviations.flatten(), spread.diagonal().sqrt(), rtol=1e-12, atol=0)


def test_equals_statsmodels():
    system, belief, observed, _ = example(1)
    a, c, q, r = (part.numpy() for part in system)
    filtered = kalman_filter(system, belief, observed)
    means, covariances = kalman_smoother(system, filtered)
    for row in range(BATCH):
        # One that is bound anew keeps what it filtered before.
        reference = KalmanSmoother(VALUES, STATES)
        reference["transition"], reference["design"] = a, c
        reference["state_cov"], reference["obs_cov"] = q @ q.T, r @ r.T
        reference["selection"] = np.eye(STATES)
        reference.initialize_known(belief.mean[0].numpy(), (belief.factor @ belief.factor.mT).numpy())
        reference.bind(observed[:, row].contiguous().numpy())
        found = reference.smooth()
        np.testing.assert_allclose(filtered.log_densities[:, row], found.llf_obs, rtol=1e-6)
        np.testing.assert_allclose(filtered.means[:, row], found.predicted_state.T[:-1], rtol=1e-6)
        np.testing.assert_allclose(means[:, row], found.smoothed_state.T, rtol=1e-6)
        np.testing.assert_allclose(covariances, found.smoothed_state_cov.transpose(2, 0, 1), rtol=1e-6)


def test_innovations_of_the_right_model_are_white():
    system, belief, _, _ = example(2)
    generator = torch.Generator().manual_seed(3)

    def noise(factor):
        return torch.randn(20000, len(factor), generator=generator, dtype=torch.float64) @ factor.mT

    state, observed = belief.mean[:1] + noise(belief.factor), []
    for _ in range(STEPS):
        observed.append(state @ system.output.mT + noise(system.output_factor))
        state = state @ system.transition.mT + noise(system.transition_factor)
    filtered = kalman_filter(
        system, belief._replace(mean=belief.mean[:1].expand(20000, -1)), torch.stack(observed)
    )
    white = flat(filtered.innovations)
    torch.testing.assert_close(white.mT.cov(), torch.eye(STEPS * VALUES).double(), rtol=0, atol=0.05)


def test_gradients():
    system, belief, observed, drive = example()

    def density(a, c, q, r, mean, spread, observed):
        return kalman_filter(
            LinearGaussian(a, c, q.tril(), r.tril()),
            Belief(mean.expand(BATCH, -1), spread.tril()),
            observed,
            drive,
        ).log_densities

    leaves = (*system, belief.mean[:1], belief.factor, observed)
    assert torch.autograd.gradcheck(density, [leaf.clone().requires_grad_() for leaf in leaves])


def test_float32_does_where_the_state_is_known_almost_exactly():
    """The textbook's equations are wrong by 0.75 nats here in float32, at the third step."""
    a = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    system = LinearGaussian(a, torch.tensor([[1.0, 0.0]]), 1e-3 * torch.eye(2), torch.tensor([[1e-3]]))
    belief = Belief(torch.zeros(1, 2), 10 * torch.eye(2))
    observed = torch.linspace(0, 1, 200).reshape(-1, 1, 1)
    exact = kalman_filter(
        LinearGaussian(*(part.double() for part in system)),
        Belief(*(part.double() for part in belief)),
        observed.double(),
    )
    found = kalman_filter(system, belief, observed)
    torch.testing.assert_close(found.log_densities, exact.log_densities.float(), rtol=0, atol=1e-3)


def test_stacked_systems_are_each_by_itself():
    systems = [example(seed)[0] for seed in range(3)]
    _, belief, observed, _ = example()

    def density(system):
        return kalman_filter(system, belief, observed).log_densities.sum()

    stacked = LinearGaussian(*(torch.stack(parts).requires_grad_() for parts in zip(*systems, strict=True)))
    found = vmap(density)(stacked)
    found.sum().backward()
    for index, system in enumerate(systems):
        alone = LinearGaussian(*(part.clone().requires_grad_() for part in system))
        expected = density(alone)
        expected.backward()
        assert found[index].item() == pytest.approx(expected.item(), rel=1e-12)
        for one, other in zip(alone, stacked, strict=True):
            torch.testing.assert_close(other.grad[index], one.grad, rtol=1e-9, atol=1e-9)
