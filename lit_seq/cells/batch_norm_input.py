"""Recurrent cells whose input alone is batch-normalised."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.activation import Activation
from lit_seq.cells.affine import AffineCell
from lit_seq.cells.batch_norm import BatchNorm
from lit_seq.cells.elman import Elman
from lit_seq.cells.lstm import LSTM


class BatchNormInputElman(Elman):
    """Elman network whose input, not its recurrence, is batch-normalised, for faster training.

        h_t = φ(BN(W x_t) + b + U h_{t-1})

    BN normalises each feature by its mean and variance over all steps and sequences of a batch, padding left
    out; see `lit_seq.cells.batch_norm.BatchNorm`. A NaN in one sequence therefore spoils a batch in training.

    Source: Laurent, Pereyra, Brakel, Zhang & Bengio 2016 (arXiv:1510.01378).

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        activation: φ.
        initialisation: see `AffineCell`.
    """

    def __init__(
        self, input_size: int, hidden_size: int, activation: Activation = "tanh", **initialisation: Any
    ) -> None:
        super().__init__(input_size, hidden_size, activation, **initialisation)
        self.norm = BatchNorm(hidden_size, 1.0)

    def project(self, inputs: Tensor) -> Tensor:
        """Return BN(W x_t) + b of all steps, (…, hidden)."""
        return self.project_padded(inputs, None)

    def project_padded(self, inputs: Tensor, valid: Tensor | None) -> Tensor:
        """Return BN(W x_t) + b of all steps, (time, batch, hidden)."""
        return _projected(self, self.norm, inputs, valid)


class BatchNormInputLSTM(LSTM):
    """LSTM whose input, not its recurrence, is batch-normalised, for faster training.

    The equations of `LSTM` with BN(W x_t) for W x_t, where BN is as in `BatchNormInputElman`.

    Source: Laurent, Pereyra, Brakel, Zhang & Bengio 2016 (arXiv:1510.01378).

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        options: those of `LSTM`.
    """

    def __init__(self, input_size: int, hidden_size: int, **options: Any) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.norm = BatchNorm(self.gates * hidden_size, 1.0)

    def project(self, inputs: Tensor) -> Tensor:
        """Return BN(W x_t) + b of all steps, (…, 4·hidden)."""
        return self.project_padded(inputs, None)

    def project_padded(self, inputs: Tensor, valid: Tensor | None) -> Tensor:
        """Return BN(W x_t) + b of all steps, (time, batch, 4·hidden)."""
        return _projected(self, self.norm, inputs, valid)


def _projected(cell: AffineCell[Any], norm: BatchNorm, inputs: Tensor, valid: Tensor | None) -> Tensor:
    only = torch.zeros(1, dtype=torch.int64, device=inputs.device)
    normalised = norm(F.linear(inputs, cell.weight_input), valid, only)
    return normalised if cell.bias is None else normalised + cell.bias
