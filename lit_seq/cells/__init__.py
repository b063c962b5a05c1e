"""Cells: one update rule a file."""

from lit_seq.cells.cell import Cell, HiddenState
from lit_seq.cells.elman import Elman
from lit_seq.cells.gru import GRU
from lit_seq.cells.lstm import LSTM, LSTMState

__all__ = ["GRU", "LSTM", "Cell", "Elman", "HiddenState", "LSTMState"]
