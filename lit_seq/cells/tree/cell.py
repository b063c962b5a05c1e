"""The contract of tree cells: one update rule of a node, without the tree."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.initialisation import initialise

StateT = TypeVar("StateT", bound=tuple[Tensor, ...])


class Children(NamedTuple):
    """The children of a level's nodes.

    Attributes:
        state: their states, each part (children, hidden).
        parents: which node of the level each is a child of, (children,) int64.
        ordinals: which child of its node each is, from 0, (children,) int64.
    """

    state: Any
    parents: Tensor
    ordinals: Tensor

    def sums(self, values: Tensor, nodes: int) -> Tensor:
        """Return the sums over the children of each node, (nodes, …), of `values`, (children, …)."""
        return values.new_zeros(nodes, *values.shape[1:]).index_add(0, self.parents, values)

    def in_places(self, values: Tensor, nodes: int, arity: int) -> Tensor:
        """Return `values` in order of the children, (nodes, arity, …), zero where there is no child."""
        places = values.new_zeros(nodes * arity, *values.shape[1:])
        return places.index_add(0, self.parents * arity + self.ordinals, values).unflatten(0, (nodes, arity))


class TreeCell(nn.Module, ABC, Generic[StateT]):
    """One update rule h_j = f(x_j, the states of j's children) of a node of a tree.

    `lit_seq.scan.tree` runs it up the trees of a batch. A new cell needs `step` and `state_type`.

    Attributes:
        weight_input: W, (gates·hidden, input), initially as Glorot & Bengio 2010.
        bias: b, (gates·hidden,), initially zero.

    Args:
        input_size: features of a node's input.
        hidden_size: features of the hidden state.
        gates: blocks of W and b.
        arity: most children of a node; None: any number.

    Raises:
        ValueError: an argument is below 1.
    """

    state_type: type[StateT]

    values: ClassVar[tuple[str, ...]] = ()
    """Constructor arguments in which stacked trials may differ; see `lit_seq.cells.Cell`."""

    def __init__(self, input_size: int, hidden_size: int, gates: int, arity: int | None = None) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("arity", arity)):
            if size is not None and size < 1:
                raise ValueError(f"{type(self).__name__}: {name} is {size}; it must be at least 1.")
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.arity = arity
        self.weight_input = nn.Parameter(torch.empty(gates * hidden_size, input_size))
        self.bias = nn.Parameter(torch.zeros(gates * hidden_size))
        initialise(self.weight_input, gates, "glorot", 1.0, 1.0)

    @abstractmethod
    def step(self, projected: Tensor, children: Children) -> StateT:
        """Return the states of nodes.

        Args:
            projected: W x_j + b, (nodes, gates·hidden).
            children: their children.
        """

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x_j + b of nodes, (…, gates·hidden)."""
        return F.linear(inputs, self.weight_input, self.bias)

    def initial_state(self, nodes: int) -> StateT:
        """Return the all-zero state of `nodes` nodes."""
        zeros = self.bias.new_zeros(nodes, self.hidden_size)
        fields: Any = self.state_type
        return fields(*(zeros for _ in fields._fields))

    def _drawn(self, *shape: int) -> nn.Parameter:
        """Return square blocks (…·hidden, …·hidden), each orthogonal."""
        weight = torch.empty(shape)
        for columns in weight.split(self.hidden_size, 1):
            initialise(columns, shape[0] // self.hidden_size, "orthogonal", 1.0, 1.0)
        return nn.Parameter(weight)
