"""What the trials of a pack see in one step."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.tree import padded


class PackBatch(NamedTuple):
    """What a pack trains on in one step.

    Attributes:
        batch: one batch for all trials, or their batches with a leading trial dimension.
        shared: whether it is one for all.
        steps: how many steps the "inputs" and "targets" of each trial's batch have alone; None where none was
            padded like those of the others.
    """

    batch: Any
    shared: bool
    steps: list[dict[str, int]] | None = None


def of_trial(batch: PackBatch, trial: int) -> Any:
    """Return the batch that one trial sees."""
    if batch.shared:
        return batch.batch
    return tree_map(lambda leaf: leaf[trial] if isinstance(leaf, Tensor) else leaf, batch.batch)


def join(batches: Sequence[Any]) -> PackBatch:
    """Return the batches of several groups of trials as one: the batch of all, or one behind the other."""
    first, *others = batches
    if all(_equal(first, other) for other in others):
        return PackBatch(first, shared=True)
    steps = None
    if isinstance(first, Batch):
        if any(_shapes(batch) != _shapes(first) for batch in others):
            steps = [_steps(batch) for batch in batches]
            batches = _padded(batches)
        if first.tree is None:
            return PackBatch(Batch(*map(_stack, zip(*batches, strict=True))), False, steps)
    leaves, structures = zip(*map(tree_flatten, batches), strict=True)
    return PackBatch(
        tree_unflatten([_stack(of) for of in zip(*leaves, strict=True)], structures[0]), False, steps
    )


def spread(batch: PackBatch, groups: Sequence[int]) -> PackBatch:
    """Return what each trial sees.

    Args:
        batch: what groups of trials see.
        groups: the place of each trial's group in it.
    """
    index = torch.tensor(groups)
    steps = batch.steps and [batch.steps[group] for group in groups]
    return PackBatch(
        tree_map(lambda leaf: leaf[index] if isinstance(leaf, Tensor) else leaf, batch.batch), False, steps
    )


def _stack(leaves: Sequence[Any]) -> Any:
    return torch.stack(list(leaves)) if isinstance(leaves[0], Tensor) else leaves[0]


def _equal(one: Any, other: Any) -> bool:
    (leaves, structure), (others, other_structure) = tree_flatten(one), tree_flatten(other)
    return structure == other_structure and all(
        a is b or (torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b)
        for a, b in zip(leaves, others, strict=True)
    )


def _shapes(batch: Batch) -> Any:
    """Return the shapes of all that may be padded."""
    tree = () if batch.tree is None else tuple(leaf.shape for leaf in tree_leaves(batch.tree))
    return batch.inputs.shape, batch.targets.shape, tree


def _steps(batch: Batch) -> dict[str, int]:
    """Return the length of the second dimension, which is time if anything can be padded."""
    parts = {"inputs": batch.inputs, "targets": batch.targets}
    return {name: part.shape[1] if part.dim() > 1 else 1 for name, part in parts.items()}


def _padded(batches: Sequence[Batch]) -> list[Batch]:
    """Bring inputs, targets and trees to the longest there are: padding never changes a result."""
    fill = 0 if batches[0].targets.is_floating_point() else IGNORED
    inputs = _grown([batch.inputs for batch in batches], 0)
    targets = _grown([batch.targets for batch in batches], fill)
    trees = [batch.tree for batch in batches if batch.tree is not None]
    grown = padded(trees, inputs[0].shape[1]) if trees else [None] * len(batches)
    return [
        batch._replace(inputs=own, targets=wanted, tree=tree)
        for batch, own, wanted, tree in zip(batches, inputs, targets, grown, strict=True)
    ]


def _grown(tensors: Sequence[Tensor], fill: float) -> Sequence[Tensor]:
    """Bring tensors, batch first and then time, to the longest time of them."""
    if tensors[0].dim() == 1:
        return tensors
    steps = max(tensor.shape[1] for tensor in tensors)
    behind = [0] * (2 * tensors[0].dim() - 4)
    return [functional.pad(one, (*behind, 0, steps - one.shape[1]), value=fill) for one in tensors]
