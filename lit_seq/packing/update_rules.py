"""torch.optim's update rules for stacked trials, each trial with its own values.

Parameters are (trials, elements). The coefficients of an update are computed for all trials at once in
float64, as torch.optim computes them in Python, and then cast to the parameters' type.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop


class Values:
    """Hyperparameters of an update rule, one value a trial.

    Args:
        groups: `param_groups[0]` of each trial's own torch.optim optimiser.
        device: where the parameters are.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], device: torch.device) -> None:
        self._groups, self._device = groups, device
        self._values: dict[str, Tensor] = {}
        self._any: dict[str, bool] = {}

    def __getitem__(self, name: str) -> Tensor:
        """Return the values of `name`, (trials, 1) float64; "beta1" and "beta2" are those of "betas"."""
        if name not in self._values:
            key, index = ("betas", int(name[-1]) - 1) if name.startswith("beta") else (name, None)
            plain = [[group[key] if index is None else group[key][index]] for group in self._groups]
            self._values[name] = torch.tensor(plain, dtype=torch.float64, device=self._device)
        return self._values[name]

    def any(self, name: str) -> bool:
        """Tell whether some trial's value of `name` is not zero."""
        if name not in self._any:
            self._any[name] = any(group[name] for group in self._groups)
        return self._any[name]


Rule = Callable[[Tensor, Tensor, dict[str, Tensor], Values], None]
"""(parameter, gradient, state, values): updates parameter and state in place.

What a state holds is shaped like the parameter, but for "step", (trials,).
"""


def sgd(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], values: Values) -> None:
    """Sutskever et al. 2013 in torch's form: v ← μ v + (1-τ) g; θ ← θ - lr v, or θ - lr (g + μ v)."""
    gradient = _decayed(parameter, _descended(gradient, values), values)
    if values.any("momentum"):
        momentum = _like(parameter, values["momentum"])
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = gradient.clone()
        else:
            kept = _like(parameter, 1 - values["dampening"])
            state["momentum_buffer"].mul_(momentum).addcmul_(kept, gradient)
        velocity = state["momentum_buffer"]
        if values.any("nesterov"):
            velocity = torch.where(
                _like(parameter, values["nesterov"]) != 0, gradient + momentum * velocity, velocity
            )
        gradient = torch.where(momentum != 0, velocity, gradient)
    parameter.addcmul_(_like(parameter, -values["lr"]), gradient)


def rmsprop(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], values: Values) -> None:
    """Tieleman and Hinton 2012: r ← α r + (1-α) g²; θ ← θ - lr g/(√r + ε); centered: Graves 2013."""
    gradient = _decayed(parameter, _descended(gradient, values), values)
    _count(parameter, state, "square_avg")
    kept, new = _like(parameter, values["alpha"]), _like(parameter, 1 - values["alpha"])
    state["square_avg"].mul_(kept).add_(new * gradient * gradient)
    variance = state["square_avg"]
    if values.any("centered"):
        mean = _kept(state, "grad_avg", parameter)
        mean.add_(new * (gradient - mean))
        centred = _like(parameter, values["centered"]) != 0
        variance = torch.where(centred, variance - mean.square(), variance)
    step = gradient / variance.sqrt().add_(_like(parameter, values["eps"]))
    if values.any("momentum"):
        momentum = _like(parameter, values["momentum"])
        buffer = _kept(state, "momentum_buffer", parameter)
        buffer.mul_(momentum).add_(step)
        step = torch.where(momentum > 0, buffer, step)
    parameter.addcmul_(_like(parameter, -values["lr"]), step)


def adam(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], values: Values) -> None:
    """Kingma and Ba 2015, algorithm 1; AdamW is Loshchilov and Hutter 2019, algorithm 2.

    With AMSGrad, Reddi, Kale and Kumar 2018, algorithm 2.
    """
    _count(parameter, state, "exp_avg", "exp_avg_sq")
    gradient = _descended(gradient, values)
    if values.any("weight_decay"):
        decoupled = _like(parameter, values["decoupled_weight_decay"]) != 0
        decay = _like(parameter, values["weight_decay"])
        shrunk = _like(parameter, 1 - values["lr"] * values["weight_decay"])
        gradient = torch.where(decoupled, gradient, gradient + decay * parameter)
        parameter.copy_(torch.where(decoupled, parameter * shrunk, parameter))
    beta1, beta2 = values["beta1"], values["beta2"]
    state["exp_avg"].lerp_(gradient, _like(parameter, 1 - beta1))
    state["exp_avg_sq"].mul_(_like(parameter, beta2)).add_(_like(parameter, 1 - beta2) * gradient * gradient)
    step = state["step"].double().unsqueeze(1)
    size, root = values["lr"] / (1 - beta1**step), (1 - beta2**step).sqrt()
    variance = state["exp_avg_sq"]
    if values.any("amsgrad"):
        largest = _kept(state, "max_exp_avg_sq", parameter)
        torch.maximum(largest, variance, out=largest)
        variance = torch.where(_like(parameter, values["amsgrad"]) != 0, largest, variance)
    corrected = (variance.sqrt() / _like(parameter, root)).add_(_like(parameter, values["eps"]))
    parameter.addcdiv_(_like(parameter, -size) * state["exp_avg"], corrected)


RULES: dict[type[Optimizer], tuple[Rule, tuple[str, ...]]] = {
    SGD: (sgd, ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")),
    RMSprop: (rmsprop, ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize")),
    Adam: (adam, ("lr", "betas", "eps", "weight_decay", "decoupled_weight_decay", "amsgrad", "maximize")),
    AdamW: (adam, ("lr", "betas", "eps", "weight_decay", "decoupled_weight_decay", "amsgrad", "maximize")),
}
"""Optimisers that stack, and their arguments that may differ between the trials of a pack."""

_SAME_NUMBERS = {"capturable", "differentiable", "foreach", "fused"}


def without_rule(optimizer: Optimizer) -> str | None:
    """Return why there is no stacked form of an optimiser; None where there is one."""
    name = type(optimizer).__name__
    if type(optimizer) not in RULES:
        return f"{name} has no stacked form"
    unknown = sorted({*optimizer.defaults} - {*RULES[type(optimizer)][1]} - _SAME_NUMBERS)
    return f"{name} with {unknown[0]} has no stacked form" if unknown else None


def _like(parameter: Tensor, coefficient: Tensor) -> Tensor:
    return coefficient.to(parameter.dtype)


def _descended(gradient: Tensor, values: Values) -> Tensor:
    """Turn the gradient of a trial that is to maximise."""
    if not values.any("maximize"):
        return gradient
    return gradient * _like(gradient, 1 - 2 * values["maximize"])


def _decayed(parameter: Tensor, gradient: Tensor, values: Values) -> Tensor:
    if not values.any("weight_decay"):
        return gradient
    return gradient + _like(parameter, values["weight_decay"]) * parameter


def _kept(state: dict[str, Tensor], name: str, parameter: Tensor) -> Tensor:
    """Return a part of the state, zeros at first."""
    if name not in state:
        state[name] = torch.zeros_like(parameter)
    return state[name]


def _count(parameter: Tensor, state: dict[str, Tensor], *averages: str) -> None:
    if not state:
        state["step"] = torch.zeros(len(parameter), device=parameter.device)
        state.update({name: torch.zeros_like(parameter) for name in averages})
    state["step"] += 1
