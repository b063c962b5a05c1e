"""Running a tree cell from the leaves to the roots."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.cells.tree import Children, TreeCell

if TYPE_CHECKING:
    from lit_seq.data.tree import Tree


def climb(cell: TreeCell, inputs: Tensor, tree: "Tree") -> Tensor:
    """Run `cell` up the trees of a batch, a level at a time.

    A tree gives the same outputs and gradients alone and in a batch.

    Args:
        cell: the update rule.
        inputs: (time, batch, input).
        tree: the trees whose nodes the steps are.

    Returns:
        h of each node, (time, batch, hidden); in the padding that of some node.
    """
    time, batch, _ = inputs.shape
    # As in `scan`: a net runs in the precision of its parameters.
    with torch.autocast(inputs.device.type, enabled=False):
        nodes = inputs.to(cell.bias.dtype).flatten(0, 1).index_select(0, torch.cat(tree.levels))
        projected = cell.project(nodes).split([len(level) for level in tree.levels])
        none = tree.places.new_zeros(0)
        levels = zip(projected, (*tree.above, none), (*tree.ordinals, none), strict=True)
        state, outputs = cell.initial_state(0), []
        for level, parents, ordinals in reversed(list(levels)):
            state = cell.step(level, Children(state, parents, ordinals))
            outputs.append(state[0])
        h = torch.cat(outputs[::-1]).index_select(0, tree.places.mT.flatten())
    return h.unflatten(0, (time, batch))


def climb_balanced(cell: TreeCell, inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """Run `cell` up balanced binary trees over the steps of a batch's sequences, ⌈log₂ time⌉ levels.

    The steps are leaves. Each level joins neighbours, the first and the second, the third and the fourth, …,
    under a node without input, x = 0; a last one without a neighbour goes up as it is (Shi et al. 2018,
    arXiv:1808.09644, who find such trees as good as parsed ones for classification).

    Args:
        cell: the update rule.
        inputs: (time, batch, input).
        lengths: steps that count in each sequence, (batch,) int64; None when all do.

    Returns:
        h of each root, (batch, hidden).
    """
    time, batch, size = inputs.shape
    sequence = torch.arange(batch, device=inputs.device)
    counts = torch.full_like(sequence, time) if lengths is None else lengths.to(inputs.device)
    valid = torch.arange(time, device=inputs.device).unsqueeze(1) < counts
    # Replaced, not multiplied away, so that not even NaN gets out of the padding.
    inputs = torch.where(valid.unsqueeze(-1), inputs, 0.0)
    with torch.autocast(inputs.device.type, enabled=False):
        none = Children(cell.initial_state(0), sequence[:0], sequence[:0])
        state = cell.step(cell.project(inputs.to(cell.bias.dtype).flatten(0, 1)), none)
        joint = cell.project(cell.bias.new_zeros(1, size))
        while time > 1:
            pairs = (time + 1) // 2
            step = torch.arange(2 * pairs, device=inputs.device).unsqueeze(1)
            parents, ordinals = step // 2 * batch + sequence, (step % 2).expand(-1, batch)
            parts = [functional.pad(part, (0, 0, 0, (2 * pairs - time) * batch)) for part in state]
            below = Children(type(state)(*parts), parents.flatten(), ordinals.flatten())
            joined = cell.step(joint.expand(pairs * batch, -1), below)
            single = (step[1::2] >= counts).reshape(-1, 1)
            first = [part.unflatten(0, (pairs, 2, batch))[:, 0].flatten(0, 1) for part in parts]
            state = type(state)(*(torch.where(single, *two) for two in zip(first, joined, strict=True)))
            counts, time = (counts + 1) // 2, pairs
    return state[0]
