"""The Kalman filter and smoother: what a series says of the hidden state behind it.

    z_1 ~ N(m, P),    z_{t+1} = A z_t + b_t + w_t,    w_t ~ N(0, Q)
                      y_t     = C z_t + v_t,          v_t ~ N(0, R)

Covariances are kept as lower triangular factors, P = L Lᵀ, and a step is one QR decomposition of an array of
factors (Kailath, Sayed & Hassibi 2000, *Linear Estimation*, chapter 12): it loses half as many digits as the
textbook's equations, so that float32 will do. Factors may have negative numbers on their diagonals.

What is observed does not change how sure the filter is, so that factors are found once for a whole batch.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class LinearGaussian(NamedTuple):
    """A linear dynamical system.

    Attributes:
        transition: A, (states, states).
        output: C, (values, states).
        transition_factor: factor of Q, (states, states).
        output_factor: factor of R, (values, values).
    """

    transition: Tensor
    output: Tensor
    transition_factor: Tensor
    output_factor: Tensor


class Belief(NamedTuple):
    """z ~ N(mean, factor factorᵀ): what is held of a state.

    Attributes:
        mean: (batch, states).
        factor: (states, states), one for all sequences.
    """

    mean: Tensor
    factor: Tensor


class Filtered(NamedTuple):
    """What is held at each step t of a series, from y_1 … y_{t-1}.

    Attributes:
        means: of z_t, (time, batch, states).
        factors: of its covariance, (time, states, states).
        innovations: y_t less its mean, whitened: N(0, I) if the model is right, (time, batch, values).
        innovation_factors: of the covariance of y_t, (time, values, values).
        log_densities: log p(y_t | y_1 … y_{t-1}) in nats, (time, batch).
        ahead: what is held of the state behind the last step.
    """

    means: Tensor
    factors: Tensor
    innovations: Tensor
    innovation_factors: Tensor
    log_densities: Tensor
    ahead: Belief


def kalman_filter(
    system: LinearGaussian, belief: Belief, observations: Tensor, drive: Tensor | None = None
) -> Filtered:
    """Read a series from left to right.

    Args:
        system: A, C and the noises.
        belief: what is held of z_1.
        observations: y, (time, batch, values).
        drive: b, (time, batch, states); None where nothing drives the state.
    """
    transition, output, transition_factor, output_factor = system
    values, states = output.shape
    upper = torch.cat([output_factor, output.new_zeros(values, states)], 1)
    lower = torch.cat([output.new_zeros(states, values), transition_factor], 1)
    factors, innovation_factors, gains = [belief.factor], [], []
    for _ in range(len(observations)):
        # [R^½, C P^½, 0; 0, A P^½, Q^½] times an orthogonal matrix is lower triangular.
        seen = torch.cat([output, transition]) @ factors[-1]
        array = torch.cat([torch.cat([upper, lower]), seen], 1)
        rotated = torch.linalg.qr(array.mT).R.mT
        innovation_factors.append(rotated[:values, :values])
        gains.append(rotated[values:, :values])
        factors.append(rotated[values:, values:])
    roots = torch.stack(innovation_factors)
    # Of y_t - C m_t, not yet whitened.
    gain = torch.linalg.solve_triangular(roots, torch.stack(gains), upper=False, left=False)
    pushed = observations @ gain.mT if drive is None else observations @ gain.mT + drive
    means = [belief.mean]
    for push, kept in zip(pushed.unbind(), (transition - gain @ output).mT.unbind(), strict=True):
        means.append(torch.addmm(push, means[-1], kept))
    predicted = torch.stack(means[:-1])
    innovations = torch.linalg.solve_triangular(
        roots, (observations - predicted @ output.mT).mT, upper=False
    ).mT
    volume = roots.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1, keepdim=True)
    densities = -0.5 * (innovations.square().sum(-1) + values * math.log(2 * math.pi)) - volume
    ahead = Belief(means[-1], factors[-1])
    return Filtered(predicted, torch.stack(factors[:-1]), innovations, roots, densities, ahead)


def kalman_smoother(system: LinearGaussian, filtered: Filtered) -> tuple[Tensor, Tensor]:
    """Read a filtered series back from right to left (Rauch, Tung & Striebel 1965, eqs. 3.31 and 3.32).

    Returns:
        Mean of each z_t given the whole series, (time, batch, states), and its covariance, (time, states,
        states).
    """
    means, factors, innovations, roots, _, ahead = filtered
    predicted = factors @ factors.mT
    # P Cᵀ S^{-½}ᵀ
    seen = torch.linalg.solve_triangular(roots, system.output @ predicted, upper=False).mT
    updated = means + innovations @ seen.mT
    covariances = predicted - seen @ seen.mT
    mean_after, factor_after = ahead
    smoothed_mean, smoothed = mean_after, factor_after @ factor_after.mT
    found = []
    for t in reversed(range(len(means))):
        carried = system.transition @ covariances[t]
        gain = torch.cholesky_solve(carried, factor_after).mT
        smoothed_mean = updated[t] + (smoothed_mean - mean_after) @ gain.mT
        smoothed = covariances[t] + gain @ (smoothed - factor_after @ factor_after.mT) @ gain.mT
        found.append((smoothed_mean, smoothed))
        mean_after, factor_after = means[t], factors[t]
    of_mean, of_covariance = zip(*reversed(found), strict=True)
    return torch.stack(of_mean), torch.stack(of_covariance)


def forecast(
    system: LinearGaussian, belief: Belief, steps: int, drive: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run free, without observations.

    Args:
        system: A, C and the noises.
        belief: what is held of the state at the first of the steps.
        steps: how many.
        drive: b, (steps, batch, states); None where nothing drives the state.

    Returns:
        Mean of each y_t, (steps, batch, values), and standard deviation, (steps, values).
    """
    mean, covariance = belief.mean, belief.factor @ belief.factor.mT
    noise, output_noise = (factor @ factor.mT for factor in system[2:])
    means, deviations = [], []
    for t in range(steps):
        means.append(mean @ system.output.mT)
        spread = system.output @ covariance @ system.output.mT + output_noise
        deviations.append(spread.diagonal().sqrt())
        mean = mean @ system.transition.mT if drive is None else mean @ system.transition.mT + drive[t]
        covariance = system.transition @ covariance @ system.transition.mT + noise
    return torch.stack(means), torch.stack(deviations)
