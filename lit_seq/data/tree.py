"""Trees over the steps of sequences, cut into levels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Tree(NamedTuple):
    """A batch of trees whose nodes are the steps of the batch's sequences.

    Level d holds the nodes of all trees that are d edges below their roots. So the children of a level's
    nodes are the nodes of the next level, and a net that goes up the trees takes as many steps as the deepest
    of them has levels, each for a whole level.

    Attributes:
        parents: step that is each step's parent, (batch, time) int64; -1 at roots and in the padding.
        levels: nodes of each level, from the roots down, (nodes,) int64 each, where step t of sequence b is
            number t·batch + b. The first level begins with the root of each sequence, in their order.
        above: of each level but the first, where in the level above each node's parent is, (nodes,) int64.
        ordinals: of each level but the first, which child of its parent each node is, from 0, (nodes,) int64.
        places: where each step is in the levels, one behind the other, (batch, time) int64; 0 in the padding.
    """

    parents: Tensor
    levels: tuple[Tensor, ...]
    above: tuple[Tensor, ...]
    ordinals: tuple[Tensor, ...]
    places: Tensor

    @classmethod
    def of(cls, parents: Tensor, lengths: Tensor | None = None) -> "Tree":
        """Cut trees into levels.

        Args:
            parents: step that is each step's parent, (batch, time) int64; -1 at roots.
            lengths: steps of each sequence, (batch,) int64; None: all.

        Raises:
            ValueError: the steps of a sequence make no tree.
        """
        batch, time = parents.shape
        sequence = torch.arange(batch, device=parents.device)
        lengths = torch.full_like(sequence, time) if lengths is None else lengths
        padding = torch.arange(time, device=parents.device) >= lengths[:, None]
        parents = parents.masked_fill(padding, -1)
        is_root = (parents < 0) & ~padding
        if (is_root.sum(1) != 1).any():
            raise ValueError("a tree has one root; one of these has more or none.")
        # As numbers, with -1 for none.
        parent = torch.where(parents < 0, -1, parents * batch + sequence[:, None]).mT.flatten()
        level = is_root.int().argmax(1) * batch + sequence
        levels, above, ordinals = [level], [], []
        while True:
            place = parents.new_full((time * batch + 1,), -1)
            place[level] = torch.arange(len(level), device=level.device)
            # The last place is that of number -1: no node.
            level = (place[parent] >= 0).nonzero().squeeze(1)
            if not len(level):
                break
            levels.append(level)
            above.append(place[parent[level]])
            ordinals.append(_ordinals(above[-1]))
        if sum(map(len, levels)) != int((~padding).sum()):
            raise ValueError("a tree has no cycle; one of these has.")
        places = _places(levels, [len(level) for level in levels], time, batch)
        return cls(parents, tuple(levels), tuple(above), tuple(ordinals), places)


def padded(trees: Sequence[Tree], time: int) -> list[Tree]:
    """Bring the trees of several batches to one shape, so that they stack.

    What is added to a level hangs from what is added to the one above: a tree of its own that nothing reads.

    Args:
        trees: the trees of each batch.
        time: steps to which the batches are padded.
    """
    depth = max(len(tree.levels) for tree in trees)
    sizes = [[len(level) for level in tree.levels] + [0] * (depth - len(tree.levels)) for tree in trees]
    widths = [max(size[-1] for size in sizes)]
    for d in reversed(range(depth - 1)):
        # Where the level below is filled up, this one needs a parent for that.
        widths.insert(0, max(size[d] + (size[d + 1] < widths[0]) for size in sizes))
    return [_filled(tree, widths, time) for tree in trees]


def why_no_tree(parents: Sequence[int]) -> str | None:
    """Return what keeps nodes from being one tree, as the end of a sentence; None where nothing does.

    Args:
        parents: each node's parent, numbered from 0; -1 at the root.
    """
    nodes = range(len(parents))
    for node in nodes:
        if not -1 <= parents[node] < len(parents):
            return f"has {len(parents)} nodes, and node {node + 1} has the parent {parents[node] + 1}"
    roots = [node + 1 for node in nodes if parents[node] < 0]
    if len(roots) > 1:
        return f"has {len(roots)} roots, nodes {' and '.join(map(str, roots))}; a tree has one"
    done: set[int] = {-1}
    for node in nodes:
        path: list[int] = []
        while node not in done:
            if node in path:
                cycle = [*path[path.index(node) :], node]
                return f"has a cycle, nodes {' → '.join(str(one + 1) for one in cycle)}; a tree has none"
            path.append(node)
            node = parents[node]
        done.update(path)
    return None


def arity(parents: Sequence[int]) -> int:
    """Return the most children that a node has, of nodes with these parents."""
    children = [0] * (len(parents) + 1)
    for parent in parents:
        children[parent] += parent >= 0
    return max(children)


def _ordinals(above: Tensor) -> Tensor:
    """Return how many before each node of a level have the same parent."""
    order = above.argsort(stable=True)
    ordered = above[order]
    ordinals = torch.empty_like(above)
    ordinals[order] = torch.arange(len(above), device=above.device) - torch.searchsorted(ordered, ordered)
    return ordinals


def _places(levels: Sequence[Tensor], widths: Sequence[int], time: int, batch: int) -> Tensor:
    places = levels[0].new_zeros(time * batch)
    start = 0
    for level, width in zip(levels, widths, strict=False):
        places[level] = torch.arange(start, start + len(level), device=level.device)
        start += width
    return places.view(time, batch).mT.contiguous()


def _filled(tree: Tree, widths: Sequence[int], time: int) -> Tree:
    def fill(parts: Sequence[Tensor], widths: Sequence[int], values: Sequence[int]) -> tuple[Tensor, ...]:
        missing = [tree.parents.new_zeros(0)] * (len(widths) - len(parts))
        return tuple(
            functional.pad(part, (0, width - len(part)), value=value)
            for part, width, value in zip([*parts, *missing], widths, values, strict=True)
        )

    batch = len(tree.parents)
    nothing = [0] * len(widths)
    return Tree(
        functional.pad(tree.parents, (0, time - tree.parents.shape[1]), value=-1),
        fill(tree.levels, widths, nothing),
        fill(tree.above, widths[1:], [width - 1 for width in widths[:-1]]),
        fill(tree.ordinals, widths[1:], nothing[1:]),
        _places(tree.levels, widths, time, batch),
    )
