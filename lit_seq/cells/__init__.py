"""Cells: one update rule a file."""

from lit_seq.cells.batch_norm_input import BatchNormInputElman, BatchNormInputLSTM
from lit_seq.cells.batch_norm_lstm import BatchNormLSTM, BatchNormLSTMState
from lit_seq.cells.cell import Cell, HiddenState
from lit_seq.cells.clockwork import Clockwork, ClockworkState
from lit_seq.cells.deep_transition import DeepTransition
from lit_seq.cells.echo_state import EchoState
from lit_seq.cells.elman import Elman
from lit_seq.cells.feed_forward import FeedForward
from lit_seq.cells.gru import GRU
from lit_seq.cells.jordan import Jordan
from lit_seq.cells.layer_norm_elman import LayerNormElman
from lit_seq.cells.layer_norm_lstm import LayerNormLSTM
from lit_seq.cells.leaky import Leaky
from lit_seq.cells.lstm import LSTM, LSTMState
from lit_seq.cells.min_gru import MinGRU
from lit_seq.cells.orthogonal import OrthogonalElman, OrthogonalModReLU
from lit_seq.cells.skip import Skip, SkipState

__all__ = [
    "GRU",
    "LSTM",
    "BatchNormInputElman",
    "BatchNormInputLSTM",
    "BatchNormLSTM",
    "BatchNormLSTMState",
    "Cell",
    "Clockwork",
    "ClockworkState",
    "DeepTransition",
    "EchoState",
    "Elman",
    "FeedForward",
    "HiddenState",
    "Jordan",
    "LSTMState",
    "LayerNormElman",
    "LayerNormLSTM",
    "Leaky",
    "MinGRU",
    "OrthogonalElman",
    "OrthogonalModReLU",
    "Skip",
    "SkipState",
]
