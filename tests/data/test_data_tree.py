import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._pytree import tree_flatten, tree_leaves

from lit_seq.data import Batch, Tree
from lit_seq.data.tree import arity, padded, why_no_tree


@st.composite
def parents(draw):
    """A tree of up to 12 nodes whose numbers say nothing about who is whose child."""
    size = draw(st.integers(1, 12))
    names = draw(st.permutations(range(size)))
    tree = [-1] * size
    for node in range(1, size):
        tree[names[node]] = names[draw(st.integers(0, node - 1))]
    return tree


def batch_of(trees):
    time = max(map(len, trees))
    lengths = torch.tensor([len(tree) for tree in trees])
    # What stands in the padding is to have no effect.
    return torch.tensor([tree + [0] * (time - len(tree)) for tree in trees]), lengths


def depth(tree, node):
    return 0 if tree[node] < 0 else 1 + depth(tree, tree[node])


def test_levels_by_hand():
    #   tree 0: 1 → (0, 2 → 3)      tree 1: 0 → (1, 2)
    tree = Tree.of(torch.tensor([[1, -1, 1, 2], [-1, 0, 0, 9]]), torch.tensor([4, 3]))
    assert [level.tolist() for level in tree.levels] == [[2, 1], [0, 3, 4, 5], [6]]
    assert [above.tolist() for above in tree.above] == [[0, 1, 0, 1], [2]]
    assert [ordinals.tolist() for ordinals in tree.ordinals] == [[0, 0, 1, 1], [0]]
    assert tree.places.tolist() == [[2, 0, 4, 6], [1, 3, 5, 0]]
    assert tree.parents.tolist() == [[1, -1, 1, 2], [-1, 0, 0, -1]]


@settings(deadline=None, max_examples=60)
@given(st.lists(parents(), min_size=1, max_size=4))
def test_levels_hold_every_node_below_its_parent(trees):
    given_parents, lengths = batch_of(trees)
    batch = len(trees)
    tree = Tree.of(given_parents, lengths)
    order = torch.cat(tree.levels).tolist()
    assert sorted(order) == sorted(t * batch + b for b, one in enumerate(trees) for t in range(len(one)))
    for d, level in enumerate(tree.levels):
        for place, number in enumerate(level.tolist()):
            t, b = divmod(number, batch)
            assert depth(trees[b], t) == d
            assert order[tree.places[b, t]] == number
            if d == 0:
                assert place == b
            else:
                parent = trees[b][t]
                assert tree.levels[d - 1][tree.above[d - 1][place]] == parent * batch + b
                assert tree.ordinals[d - 1][place] == trees[b][:t].count(parent)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(parents(), min_size=2, max_size=2), min_size=2, max_size=3), st.integers(0, 2))
def test_padded_trees_have_one_shape_and_the_same_nodes(trials, more):
    own = [Tree.of(*batch_of(trees)) for trees in trials]
    time = max(tree.parents.shape[1] for tree in own) + more
    grown = padded(own, time)
    assert len({tuple(leaf.shape for leaf in tree_leaves(tree)) for tree in grown}) == 1
    assert len({tree_flatten(tree)[1] for tree in grown}) == 1
    for tree, trees, before in zip(grown, trials, own, strict=True):
        order = torch.cat(tree.levels).tolist()
        for b, one in enumerate(trees):
            for t in range(len(one)):
                assert order[tree.places[b, t]] == t * 2 + b
            assert tree.parents[b, : len(one)].tolist() == one
            assert (tree.parents[b, len(one) :] == -1).all()
        for d, above in enumerate(tree.above):
            real = 0 if d >= len(before.above) else len(before.above[d])
            assert (above[:real] == (before.above[d] if real else above[:0])).all()
            # Padding hangs from padding, so that it adds to no sum that is read.
            level_above = 0 if d >= len(before.levels) else len(before.levels[d])
            assert (above[real:] >= level_above).all()


def test_some_rows_of_a_batch():
    tree = Tree.of(torch.tensor([[1, -1, 1], [-1, 0, 0], [1, 2, -1]]), torch.tensor([3, 2, 3]))
    batch = Batch(torch.arange(9).view(3, 3), torch.arange(3), torch.tensor([3, 2, 3]), tree)
    rows = batch.of(slice(1, 3))
    assert rows.inputs.tolist() == [[3, 4, 5], [6, 7, 8]]
    assert (rows.targets.tolist(), rows.lengths.tolist()) == ([1, 2], [2, 3])
    assert rows.tree.parents.tolist() == [[-1, 0, -1], [1, 2, -1]]
    assert [len(level) for level in rows.tree.levels] == [2, 2, 1]


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ([-1], None),
        ([1, -1, 1, 2], None),
        ([-1, -1, 0], "has 2 roots, nodes 1 and 2; a tree has one"),
        ([1, 2, 0], "has a cycle, nodes 1 → 2 → 3 → 1; a tree has none"),
        ([-1, 2, 1], "has a cycle, nodes 2 → 3 → 2; a tree has none"),
        ([-1, 1], "has a cycle, nodes 2 → 2; a tree has none"),
        ([-1, 5], "has 2 nodes, and node 2 has the parent 6"),
    ],
)
def test_what_is_no_tree(tree, reason):
    assert why_no_tree(tree) == reason
    if reason and max(tree) < len(tree):
        with pytest.raises(ValueError, match="tree has"):
            Tree.of(torch.tensor([tree]))


def test_arity():
    assert arity([-1]) == 0
    assert arity([1, -1, 1, 1, 3]) == 3
