"""What a DataModule yields."""

from typing import NamedTuple

from torch import Tensor

from lit_seq.data.tree import Tree


class Batch(NamedTuple):
    """One batch of sequences, batch first as everywhere outside the cores.

    Attributes:
        inputs: tokens, (batch, time) int64; vectors, (batch, time, features) float; frames, (batch, time,
            channels, height, width) float; without time a vector or an image, less the second dimension.
        targets: one a sequence: classes, (batch,) int64; values, (batch, values) float; bits, (batch, bits)
            int64. One a step: the same with time as second dimension, which is the target's own time where it
            is a sequence of its own or the future. Padding is `IGNORED` where it is int64.
        lengths: steps of the input that count in each sequence, (batch,) int64; None when all do.
        tree: the trees whose nodes the steps are; None where they are no trees.
        motifs: what each sequence is known to show, (batch,) int64, `IGNORED` where nobody knows; only to
            judge a model that is to find out by itself.
        idle: True where nothing of it counts: a process that has no part in a batch goes through the step
            with what another one has.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    tree: Tree | None = None
    motifs: Tensor | None = None
    idle: bool | None = None

    def of(self, rows: slice) -> "Batch":
        """Return a batch of some of the sequences, padding included."""
        lengths, motifs = (None if of_all is None else of_all[rows] for of_all in (self.lengths, self.motifs))
        tree = None if self.tree is None else Tree.of(self.tree.parents[rows], lengths)
        return Batch(self.inputs[rows], self.targets[rows], lengths, tree, motifs)


IGNORED = -100
"""Target class or bit that no loss or metric counts (the default `ignore_index` of `cross_entropy`)."""
