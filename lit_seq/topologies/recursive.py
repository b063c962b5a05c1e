"""Nets that go up trees."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lit_seq.cells.tree import ChildSumTreeLSTM, TreeCell
from lit_seq.cores.dropout import StepDropout
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.samples import Sample, TreeLabels
from lit_seq.scan.tree import climb, climb_balanced
from lit_seq.topologies.comparison import METRICS, answer_rows, compare, derived
from lit_seq.topologies.examples import answered, first, steps, words
from lit_seq.topologies.features import Features
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.topology import Topology


class Recursive(Topology):
    """Recursive network: a class for each node of a tree, or one answer for the whole of it.

    y_j = W·h_j + b with h_j the cell's output at node j, of which it has seen all that is below; a whole
    tree's answer is its root's. All nodes of a level, of all trees of a batch, go in one step: it takes as
    many steps as the deepest tree has levels (`lit_seq.scan.tree`).

    Trees are those of the data, or balanced binary ones over any sequences with one answer each.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        cell: the nodes' update rule, a `TreeCell` class with its options.
        hidden_size: features of a node's hidden state.
        trees: those of the data, or balanced ones.
        embedding_size: features of a token's learned embedding, None for one-hot vectors; or of a frame.
        dropout: probability of zeroing a feature of a node's input, and of what answers are made of.

    Raises:
        UserError: this topology cannot serve `task`, or the cell its trees.
    """

    alignments = ("node", "sequence")
    metrics: ClassVar[tuple[str, ...]] = (*METRICS, "root_accuracy")
    values: ClassVar[tuple[str, ...]] = ("dropout",)

    def __init__(
        self,
        task: Task | dict[str, Any],
        cell: Callable[[int, int], TreeCell] = ChildSumTreeLSTM,
        hidden_size: int = 128,
        trees: Literal["parsed", "balanced"] = "parsed",
        embedding_size: int | None = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            task,
            cell=cell,
            hidden_size=hidden_size,
            trees=trees,
            embedding_size=embedding_size,
            dropout=dropout,
        )
        if not 0 <= dropout < 1:
            raise UserError(f"Recursive: dropout is {dropout}; it must be at least 0 and below 1.")
        self.trees = trees
        self.features = Features(self.task, embedding_size)
        self.cell = cell(self.features.output_size, hidden_size)
        self.dropout = StepDropout(dropout)
        # A whole tree's answer does not go along its nodes.
        self.answer_dropout = (StepDropout if self.task.alignment == "node" else nn.Dropout)(dropout)
        self.head = nn.Linear(hidden_size, self.task.target_size)
        self._check_trees()

    def forward(self, batch: Batch) -> Tensor:
        """Return the answers at nodes, (time, batch, target_size), or at roots, (batch, target_size)."""
        inputs = self.dropout(self.features(batch.inputs))
        if self.trees == "balanced":
            return self._answers(climb_balanced(self.cell, inputs, batch.lengths))
        assert batch.tree is not None
        h = climb(self.cell, inputs, batch.tree)
        return self._answers(h if self.task.alignment == "node" else _at_roots(h, batch))

    def measure(self, batch: Batch, state: Any = None) -> Measured:
        """Return loss and metrics of one batch; there is no state."""
        outputs = self(batch)
        if self.task.alignment == "sequence":
            return Measured(*compare(self.task, outputs, batch.targets, whole_epoch=not self.training))
        targets = batch.targets.transpose(0, 1)
        means, count = compare(self.task, outputs, targets, whole_epoch=not self.training)
        at_roots = _at_roots(targets, batch)
        means |= {
            "share_of_right_roots": (_at_roots(outputs.argmax(-1), batch) == at_roots).sum() / count,
            "share_of_roots": (at_roots != IGNORED).sum() / count,
        }
        return Measured(means, count)

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the roots' accuracy and what else means over an epoch tell; see `Topology.derived`."""
        found = derived(means)
        if "share_of_roots" in means:
            found["root_accuracy"] = means["share_of_right_roots"] / means["share_of_roots"]
        return found

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return each sequence's answer beside its target, or of each tree the nodes', and their parents.

        A node's parent is a number from 0, -1 at the root.
        """
        outputs = self(batch)
        if self.task.alignment == "sequence":
            return answer_rows(self.task, outputs, batch.targets)
        return [
            {
                "tokens": tree.tokens,
                "parents": tree.parents,
                "prediction": tree.output,
                "target": tree.target,
            }
            for tree in self._labelled(batch, outputs, batch.targets)
        ]

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return the classes of all nodes of the first trees, or the answers to the first sequences."""
        batch = first(batches)
        if batch is None:
            return []
        if self.trees == "parsed" and self.task.targets == "classes":
            assert batch.tree is not None
            targets = batch.targets
            if self.task.alignment == "sequence":
                targets = torch.where(batch.tree.parents < 0, targets.unsqueeze(1), IGNORED)
            h = climb(self.cell, self.features(batch.inputs), batch.tree)
            return list(self._labelled(batch, self.head(h), targets))
        return answered(self.task, batch, self.predictions(batch))

    def _answers(self, h: Tensor) -> Tensor:
        return self.head(self.answer_dropout(h))

    def _labelled(self, batch: Batch, outputs: Tensor, targets: Tensor) -> Iterable[TreeLabels]:
        """Yield each tree with the classes of its nodes.

        Args:
            batch: the trees.
            outputs: (time, batch, classes).
            targets: (batch, time), `IGNORED` where nothing counts.
        """
        assert batch.tree is not None
        names = [*(self.task.labels or map(str, range(self.task.target_size)))]
        for row, classes in enumerate(outputs.argmax(-1).mT.tolist()):
            tokens = words(self.task, steps(batch, row))
            nodes = slice(len(tokens))
            wanted = [None if target == IGNORED else names[target] for target in targets[row, nodes].tolist()]
            parents = batch.tree.parents[row, nodes].tolist()
            yield TreeLabels(tokens, parents, wanted, [names[one] for one in classes[nodes]])

    def _check_trees(self) -> None:
        task, most, cell = self.task, self.cell.arity, type(self.cell).__name__
        if self.trees == "balanced" and task.alignment == "node":
            raise UserError(
                "Recursive: balanced trees have one answer each, but this data has a target for each node of"
                " its own trees; trees must be parsed."
            )
        if self.trees == "parsed" and task.arity is None:
            raise UserError("Recursive: this data has no trees; trees must be balanced.")
        if task.alignment == "node" and task.targets != "classes":
            raise UserError(f"Recursive: the targets of nodes are {task.targets}; they must be classes.")
        children = 2 if self.trees == "balanced" else task.arity
        if most is not None and children is not None and children > most:
            raise UserError(
                f"Recursive: nodes of these trees have up to {children} children, {cell} takes {most}; raise"
                " its arity, or use ChildSumTreeLSTM, which takes any number."
            )


def _at_roots(of_nodes: Tensor, batch: Batch) -> Tensor:
    """Return what belongs to the roots, (batch, …), of (time, batch, …)."""
    assert batch.tree is not None
    return of_nodes.flatten(0, 1).index_select(0, batch.tree.levels[0][: len(batch.inputs)])
