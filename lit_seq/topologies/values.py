"""Loss and metrics of targets that are values."""

import torch
from torch import Tensor

VALUE_METRICS = ("nrmse",)
"""What values have beside the loss."""


def compare_values(
    outputs: Tensor, targets: Tensor, lengths: Tensor | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Compare outputs with values.

    Args:
        outputs: (…, values); (time, batch, values) where there are `lengths`.
        targets: of the same shape.
        lengths: steps that count, (batch,) int64; None when all do.

    Returns:
        loss: mean squared error.
        target_mean: mean of each target value, (values,).
        target_square: mean of its square.

        The second result is how many targets were counted.
    """
    error = (outputs - targets).square().mean(-1)
    exact = targets.detach().double().flatten(0, -2)
    if lengths is None:
        means = {"loss": error.mean(), "target_mean": exact.mean(0), "target_square": exact.square().mean(0)}
        return means, torch.tensor(error.numel())
    valid = torch.arange(len(error), device=error.device).unsqueeze(1) < lengths
    count = lengths.sum()
    exact = torch.where(valid.flatten().unsqueeze(1), exact, 0.0)
    means = {
        "loss": (error * valid).sum() / count,
        "target_mean": exact.sum(0) / count,
        "target_square": exact.square().sum(0) / count,
    }
    return means, count


def nrmse(means: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the normalised root mean squared error √(MSE / Var), where the means tell the variance.

    Var is the targets' variance over the whole epoch (a mean over values where there are several), so that
    the best constant answer has 1.

    Args:
        means: what `compare_values` gives, over an epoch; (…,) and (…, values).
    """
    if "target_square" not in means:
        return {}
    variance = (means["target_square"] - means["target_mean"].square()).mean(-1)
    return {"nrmse": (means["loss"] / variance).sqrt()}
