"""Scans through torch's own recurrent kernels: cuDNN on a GPU, oneDNN for the LSTM on a CPU."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import Cell
from lit_seq.cells.elman import Elman
from lit_seq.cells.gru import GRU
from lit_seq.cells.leaky import Leaky
from lit_seq.cells.lstm import LSTM, LSTMState
from lit_seq.cells.skip import Skip
from lit_seq.scan.lstm import uncouple

# cuDNN warns that it must copy weights that are separate parameters into one block each time: let it.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")

_CLOSED = 1e30
"""A gate's input that outweighs all others, and is finite, so that 0 times it is 0."""

Arguments = tuple[Tensor, Tensor, Tensor | None, Tensor]
"""x (time, batch, input), W (gates·hidden, input), b (gates·hidden,) or None, U (gates·hidden, hidden)."""


def reason(cell: Cell[Any], inputs: Tensor) -> str | None:
    """Return why torch's kernel is the one to use for a single trial, or None where it is not."""
    match cell:
        case Elman(activation="tanh" | "relu") | LSTM(weight_peephole=None) | GRU(reset="after"):
            if type(cell).project is not AffineCell.project:
                return None
        case _:
            return None
    if inputs.device.type == "cuda" and torch.backends.cudnn.is_available():
        return "cuDNN is the fastest for a single trial on a GPU"
    if isinstance(cell, LSTM) and cell.weight_recurrent.dtype == torch.float32 and _onednn(inputs):
        return "oneDNN is the fastest for a single float32 LSTM on a CPU"
    return None


def _onednn(inputs: Tensor) -> bool:
    return inputs.device.type == "cpu" and torch.backends.mkldnn.is_available()


def run(cell: AffineCell[Any], inputs: Tensor, state: Any, valid: Tensor | None) -> tuple[Tensor, Any]:
    """Scan from the first step to the last, in padding keeping an LSTM's c as it is.

    Args:
        cell: a cell for which `reason` has one.
        inputs: (time, batch, input).
        state: state before the first step.
        valid: (time, batch, 1) bool, False at padding, which comes last; None without padding.
    """
    inputs, *weights = tensors(cell, inputs, valid)
    match cell:
        case LSTM():
            outputs, *after = lstm(inputs, *state, *weights)
            return outputs, LSTMState(*after)
        case GRU():
            kernel = torch.gru
        case Elman(activation="relu"):
            kernel = torch.rnn_relu
        case _:
            kernel = torch.rnn_tanh
    outputs, h = kernel(inputs, _before(state.h), weights, *_options(weights))
    return outputs, cell.state_type(h.squeeze(0))


def lstm(inputs: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take x (time, batch, input), h_0, c_0, W, U and the two biases, if any; return h, h_T and c_T."""
    outputs, h, c = torch.lstm(inputs, (_before(h), _before(c)), list(weights), *_options(weights))
    return outputs, h.squeeze(0), c.squeeze(0)


def tensors(cell: AffineCell[Any], inputs: Tensor, valid: Tensor | None) -> list[Tensor]:
    """Return inputs, W, U and the two biases, if any, as torch's kernels take them for `arguments`."""
    inputs, weight_input, bias, weight = arguments(cell, inputs, valid)
    return [inputs, weight_input, weight, *([] if bias is None else [bias, torch.zeros_like(bias)])]


def _before(part: Tensor) -> Tensor:
    # cuDNN refuses an expanded state, such as a learned one.
    return part.unsqueeze(0).contiguous()


def _options(weights: Sequence[Tensor]) -> tuple[bool, int, float, bool, bool, bool]:
    # Biases, layers, dropout, training, bidirectional, batch first; backward needs the form for training.
    return len(weights) == 4, 1, 0.0, torch.is_grad_enabled(), False, False


def arguments(cell: AffineCell[Any], inputs: Tensor, valid: Tensor | None) -> Arguments:
    """Return what a kernel takes for a cell: inputs, and W, b and U of an ordinary LSTM where it is coupled.

    Where there is padding, W and the inputs have one more column, 1 at padding, that closes the gates there:
    an LSTM keeps c, by i = 0 and f = 1, and a ReLU, which might overflow, is 0.
    """
    weight_input: Tensor = cell.weight_input
    weight: Tensor = cell.weight_recurrent
    bias: Tensor | None = cell.bias
    if valid is not None and (closing := _closing(cell)) is not None:
        weight_input = torch.cat([weight_input, closing.flatten().unsqueeze(1)], 1)
        inputs = torch.cat([inputs, (~valid).to(inputs.dtype)], -1)
    if isinstance(cell, LSTM) and cell.coupled:
        weight_input, weight = uncouple(weight_input, 3), uncouple(weight, 3)
        bias = None if bias is None else uncouple(bias, 3)
    return inputs, weight_input, bias, weight


def _closing(cell: AffineCell[Any]) -> Tensor | None:
    """Return what to add to the gates at padding, (gates, hidden); None where padding does no harm."""
    by_gate = cell.weight_input.new_zeros(cell.gates, cell.hidden_size)
    match cell:
        case LSTM(coupled=True):
            by_gate[0] = _CLOSED
        case LSTM():
            by_gate[0], by_gate[1] = -_CLOSED, _CLOSED
        case Elman(activation="relu") | Leaky(activation="relu") | Skip(activation="relu"):
            by_gate[0] = -_CLOSED
        case _:
            return None
    return by_gate
