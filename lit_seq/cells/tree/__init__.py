"""Update rules of the nodes of trees."""

from lit_seq.cells.tree.cell import Children, TreeCell
from lit_seq.cells.tree.elman import TreeElman
from lit_seq.cells.tree.lstm import ChildSumTreeLSTM, NaryTreeLSTM

__all__ = ["ChildSumTreeLSTM", "Children", "NaryTreeLSTM", "TreeCell", "TreeElman"]
