"""Going up trees a level at a time against recursion, node by node."""

import pytest
import torch

from lit_seq.cells.tree import Children, ChildSumTreeLSTM, NaryTreeLSTM, TreeElman
from lit_seq.data import Tree
from lit_seq.data.tree import padded
from lit_seq.scan.tree import climb, climb_balanced

INPUT, HIDDEN = 3, 4
CELLS = [ChildSumTreeLSTM, lambda i, h: NaryTreeLSTM(i, h, 4), TreeElman, lambda i, h: TreeElman(i, h, 4)]
TREES = [[1, -1, 1, 2, 2, 2], [-1, 0, 0, 2], [3, 0, 3, -1, 2, 2], [-1]]
LENGTHS = torch.tensor([6, 4, 6, 1])

pytestmark = pytest.mark.usefixtures("double")


def trees(some=TREES):
    parents = torch.tensor([one + [0] * (6 - len(one)) for one in some])
    return Tree.of(parents, torch.tensor([len(one) for one in some]))


def state_of(cell, x, children):
    """The state of one node with input x, from its children's."""
    parts = [torch.cat(part) for part in zip(*children, strict=True)]
    below = type(children[0])(*parts) if children else cell.initial_state(0)
    ordinals = torch.arange(len(children))
    return cell.step(cell.project(x.unsqueeze(0)), Children(below, torch.zeros_like(ordinals), ordinals))


def recursion(cell, inputs, tree):
    """h of each node of one tree, (nodes, hidden)."""
    states = {}

    def visit(node):
        children = [visit(child) for child, parent in enumerate(tree) if parent == node]
        states[node] = state_of(cell, inputs[node], children)
        return states[node]

    visit(tree.index(-1))
    return torch.cat([states[node][0] for node in range(len(tree))])


@pytest.mark.parametrize("build", CELLS)
def test_levels_equal_recursion_in_outputs_and_gradients(build):
    torch.manual_seed(0)
    cell = build(INPUT, HIDDEN)
    inputs = torch.randn(6, len(TREES), INPUT, requires_grad=True)
    weights = torch.randn(6, len(TREES), HIDDEN)
    outputs = climb(cell, inputs, trees())
    parameters = [inputs, *cell.parameters()]
    valid = (torch.arange(6)[:, None] < LENGTHS).unsqueeze(-1)
    ours = torch.autograd.grad((outputs * weights * valid).sum(), parameters)
    total = 0
    for b, tree in enumerate(TREES):
        own = recursion(cell, inputs[:, b], tree)
        torch.testing.assert_close(outputs[: len(tree), b], own)
        total = total + (own * weights[: len(tree), b]).sum()
    torch.testing.assert_close(ours, torch.autograd.grad(total, parameters))


@pytest.mark.parametrize("build", CELLS)
def test_trials_with_different_trees_equal_each_alone(build):
    torch.manual_seed(0)
    own = [trees(TREES), trees(TREES[::-1]), trees([[-1, 0], [-1], [1, -1], [-1]])]
    cells = [build(INPUT, HIDDEN) for _ in own]
    inputs = torch.randn(3, 6, 4, INPUT)
    parameters, _ = torch.func.stack_module_state(cells)
    stacked = torch.utils._pytree.tree_map(lambda *leaves: torch.stack(leaves), *padded(own, 6))

    class Climb(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cells[0]

        def forward(self, inputs, tree):
            return climb(self.cell, inputs, tree)

    function = Climb()
    values = {f"cell.{name}": value.detach().requires_grad_() for name, value in parameters.items()}
    outputs = torch.func.vmap(lambda p, x, t: torch.func.functional_call(function, p, (x, t)))(
        values, inputs, stacked
    )
    sizes = [LENGTHS, LENGTHS.flip(0), torch.tensor([2, 1, 2, 1])]
    weights = torch.randn(6, 4, HIDDEN)
    total = 0
    for trial, lengths in enumerate(sizes):
        valid = torch.arange(6)[:, None] < lengths
        alone = climb(cells[trial], inputs[trial], own[trial])
        torch.testing.assert_close(outputs[trial][valid], alone[valid])
        (alone * weights)[valid].sum().backward()
        total = total + (outputs[trial] * weights)[valid].sum()
    total.backward()
    for name, value in values.items():
        expected = torch.stack([cell.get_parameter(name.removeprefix("cell.")).grad for cell in cells])
        torch.testing.assert_close(value.grad, expected)


@pytest.mark.parametrize("build", CELLS)
@pytest.mark.parametrize("time", [1, 2, 5, 8])
def test_balanced_trees_equal_pairing_by_hand(build, time):
    torch.manual_seed(0)
    cell = build(INPUT, HIDDEN)
    lengths = torch.tensor([time, 1, max(1, time - 2), max(1, time // 2)])
    inputs = torch.randn(time, 4, INPUT)
    valid = (torch.arange(time)[:, None] < lengths).unsqueeze(-1)
    padding = torch.where(valid, inputs, float("nan")).requires_grad_()
    outputs = climb_balanced(cell, padding, lengths)
    outputs.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())
    for b, length in enumerate(lengths):
        level = [state_of(cell, x, []) for x in inputs[:length, b]]
        while len(level) > 1:
            pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
            level = [state_of(cell, torch.zeros(INPUT), p) if len(p) == 2 else p[0] for p in pairs]
        torch.testing.assert_close(outputs[b], level[0][0][0])


def test_balanced_trees_under_vmap_with_lengths_of_their_own():
    torch.manual_seed(0)
    cell = NaryTreeLSTM(INPUT, HIDDEN)
    inputs, lengths = torch.randn(3, 5, 2, INPUT), torch.tensor([[5, 2], [1, 4], [3, 3]])
    outputs = torch.func.vmap(lambda x, n: climb_balanced(cell, x, n))(inputs, lengths)
    for trial in range(3):
        torch.testing.assert_close(outputs[trial], climb_balanced(cell, inputs[trial], lengths[trial]))
