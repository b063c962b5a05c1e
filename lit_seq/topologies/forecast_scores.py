"""What a forecast that is many paths is worth."""

from torch import Tensor


def interval(ordered: Tensor, band: float) -> tuple[Tensor, Tensor]:
    """Return the ends between which a part `band` of the paths lies, as much of the rest below as above.

    Args:
        ordered: paths in ascending order, (paths, …).
        band: from 0 to 1.
    """
    return _quantile(ordered, (1 - band) / 2), _quantile(ordered, (1 + band) / 2)


def crps(ordered: Tensor, targets: Tensor) -> Tensor:
    """Return the continuous ranked probability score of each target, in its own unit; less is better.

        E|X - y| - ½ E|X - X'|

    with X and X' drawn from the paths (Gneiting & Raftery 2007, eq. 21): the absolute error of a forecast
    that is sure of itself, and what rewards a band for being as narrow as it can be right.

    Args:
        ordered: paths in ascending order, (paths, …).
        targets: y, (…).
    """
    paths = len(ordered)
    ranks = ordered.new_tensor([2 * rank - paths - 1 for rank in range(1, paths + 1)])
    spread = (ordered * ranks.reshape(-1, *[1] * targets.dim())).sum(0) / paths**2
    return (ordered - targets).abs().mean(0) - spread


def repeated(past: Tensor, lengths: Tensor | None, horizon: int, season: int) -> Tensor:
    """Return the forecast that the last season comes again and again; with a season of one step, persistence.

    Args:
        past: (time, batch, values), of at least `season` steps.
        lengths: steps that count of each series, (batch,) int64; None when all do.
        horizon: steps to forecast.
        season: steps of a season.

    Returns:
        (horizon, batch, values).
    """
    if lengths is None:
        last = past[len(past) - season :]
    else:
        steps = past.new_tensor(range(-season, 0)).long().unsqueeze(1) + lengths
        last = past.gather(0, steps.clamp(min=0).unsqueeze(-1).expand(-1, -1, past.shape[2]))
    return last.repeat(-(-horizon // season), 1, 1)[:horizon]


def _quantile(ordered: Tensor, probability: float) -> Tensor:
    """Return a quantile, between two paths by linear interpolation."""
    below, part = divmod(probability * (len(ordered) - 1), 1)
    lower, upper = ordered[int(below)], ordered[min(int(below) + 1, len(ordered) - 1)]
    return lower + part * (upper - lower)
