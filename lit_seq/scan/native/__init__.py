"""Operators in C++ for the CPU: Elman and leaky units with tanh or ReLU, LSTM, GRU.

One trial at a time, by panels of rows that stay in a core's cache through all steps: gates are computed on
the registers that the product U h leaves them in, and trials and panels are spread over the cores. They are
compiled on first use for the machine's own vector units (`build`) and called by ctypes (`call`), so that
building needs neither torch's headers nor a network.
"""

from lit_seq.scan.native import elman, gru, leaky, lstm
from lit_seq.scan.native.call import instructions, unavailable

__all__ = ["elman", "gru", "instructions", "leaky", "lstm", "unavailable"]
