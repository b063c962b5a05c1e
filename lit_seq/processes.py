"""Batches that several processes share, each with its own sequences (distributed data parallel)."""

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, TypeVar

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, distributed
from torch.utils._pytree import tree_map_only

from lit_seq.data.batch import Batch

Item = TypeVar("Item")


def grouped() -> bool:
    """Tell whether this process is in a process group."""
    return distributed.is_available() and distributed.is_initialized()


def processes() -> int:
    """Return how many processes train the model."""
    return distributed.get_world_size() if grouped() else 1


def rank() -> int:
    """Return the number of this process among those that train the model, as far as is known."""
    return int(getattr(rank_zero_only, "rank", 0))


def own_part(mean: Tensor, count: Tensor | int, batch: Batch) -> Tensor:
    """Return what, averaged over processes as DDP averages gradients, is the mean over the whole batch.

        P n_p m_p / Σ_q n_q    in process p of P

    Args:
        mean: m_p, a scalar, over what this process has of the batch.
        count: n_p, how many it is over.
        batch: what this process has.
    """
    if processes() == 1:
        return mean
    own = _counted(mean, count, batch)
    total = own.clone()
    distributed.all_reduce(total)
    # A mean over nothing is no number.
    return torch.where(own > 0, mean, 0.0) * (processes() * own / total).to(mean.dtype)


def whole_means(means: dict[str, Tensor], count: Tensor | int, batch: Batch) -> dict[str, Tensor]:
    """Return means over the whole batch, the same in each process and without a gradient.

    Args:
        means: means over what this process has of it.
        count: how many they are over.
        batch: what this process has.
    """
    if processes() == 1:
        return means
    own = _counted(next(iter(means.values())), count, batch)
    parts = [mean.detach().double().flatten() for mean in means.values()]
    sums = torch.where(own > 0, torch.cat(parts) * own, 0.0)
    sums = torch.cat([sums, own.reshape(1)])
    distributed.all_reduce(sums)
    whole = (sums[:-1] / sums[-1]).split([mean.numel() for mean in means.values()])
    return {
        name: part.reshape(mean.shape).to(mean.dtype)
        for (name, mean), part in zip(means.items(), whole, strict=True)
    }


def of_all_processes(own: Item) -> list[Item]:
    """Return the object of each process, in the order of their ranks, its tensors on the CPU."""
    if processes() == 1:
        return [own]
    gathered: list[Any] = [None] * processes()
    distributed.all_gather_object(gathered, tree_map_only(Tensor, Tensor.cpu, own))
    return gathered


def in_order(parts: Sequence[Sequence[Item]]) -> list[Item]:
    """Return what belongs to a batch's sequences in their order, of which each process has every P-th."""
    nothing: Any = object()
    return [item for item in chain(*zip_longest(*parts, fillvalue=nothing)) if item is not nothing]


def agreed(due: bool, *reasons: str | None) -> tuple[Any, ...]:
    """Return whether something is due in any process, and of each reason what the first says that has one."""
    if processes() == 1:
        return due, *reasons
    device = torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
    anything = torch.tensor(int(due or any(reasons)), device=device)
    distributed.all_reduce(anything, op=distributed.ReduceOp.MAX)
    if not anything:
        return due, *reasons
    said = of_all_processes((due, *reasons))
    return tuple(next((one for one in of_one if one), of_one[0]) for of_one in zip(*said, strict=True))


def whole_state(leaves: list[Tensor]) -> list[Tensor]:
    """Return the states of all sequences of a batch, each (batch, …), of those that this process has."""
    if processes() == 1:
        return leaves
    parts = of_all_processes(leaves)
    return [torch.stack(of_leaf, 1).flatten(0, 1) for of_leaf in zip(*parts, strict=True)]


def own_state(leaves: list[Tensor]) -> list[Tensor]:
    """Return the states of this process's sequences of those of a whole batch, each (batch, …)."""
    if processes() == 1:
        return leaves
    return [leaf[distributed.get_rank() :: processes()] for leaf in leaves]


def _counted(mean: Tensor, count: Tensor | int, batch: Batch) -> Tensor:
    return torch.as_tensor(0 if batch.idle else count, dtype=torch.float64, device=mean.device)
