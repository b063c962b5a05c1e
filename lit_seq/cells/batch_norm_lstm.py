"""LSTM with batch normalisation in the recurrence."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.batch_norm import BatchNorm


class BatchNormLSTMState(NamedTuple):
    """State of a batch-normalised LSTM.

    Attributes:
        h: output, (batch, hidden).
        c: content of the memory cells, (batch, hidden).
        clock: the steps taken so far, (batch, 1) int64.
    """

    h: Tensor
    c: Tensor
    clock: Tensor


class BatchNormLSTM(AffineCell[BatchNormLSTMState]):
    """LSTM with batch normalisation of input, recurrence and cells, each step with statistics of its own.

        (i_t, f_t, g_t, o_t) = BN(W x_t; γ_x) + BN(U h_{t-1}; γ_h) + b
        c_t = σ(f_t) ⊙ c_{t-1} + σ(i_t) ⊙ tanh(g_t)
        h_t = σ(o_t) ⊙ tanh(BN(c_t; γ_c) + β_c)

    BN normalises each feature by its mean and variance over the sequences of a batch at step t, padding left
    out; see `lit_seq.cells.batch_norm.BatchNorm`. A NaN in one sequence therefore spoils a batch in training.
    In evaluation a step later than any in training takes the statistics of the last one.

    Source: Cooijmans, Ballas, Laurent, Gülçehre & Courville 2017 (arXiv:1603.09025), eqs. 6–8, γ = 0.1 from
    section 4.

    Attributes:
        norm_gates: γ_x and γ_h, with the running statistics of W x_t and U h_{t-1}.
        norm_cell: γ_c, with those of c_t.
        bias_cell: β_c, (hidden,), initially zero.
        trained_steps: steps that have been in training, at most `steps`; int64.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        forget_bias: initial b_f; without `bias` there is none.
        gain: initial γ of all three.
        steps: steps that have statistics of their own; the later ones share the last.
        initialisation: see `AffineCell`.

    Raises:
        ValueError: there are no steps; or, in training, one sequence is the whole batch.
    """

    state_type = BatchNormLSTMState
    gates = 4
    values = (*AffineCell.values, "forget_bias", "gain")
    trained_steps: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 1.0,
        gain: float = 0.1,
        steps: int = 100,
        **initialisation: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        if steps < 1:
            raise ValueError(f"BatchNormLSTM: steps is {steps}; it must be at least 1.")
        self.forget_bias, self.gain, self.steps = forget_bias, gain, steps
        self.norm_gates = BatchNorm(8 * hidden_size, gain, steps)
        self.norm_cell = BatchNorm(hidden_size, gain, steps)
        self.bias_cell = nn.Parameter(torch.empty(hidden_size))
        self.register_buffer("trained_steps", torch.tensor(0))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set γ, b_f, and all else to zero."""
        super().reset_parameters()
        if self.bias is not None:
            nn.init.constant_(self.bias.chunk(4)[1], self.forget_bias)
        for norm in (self.norm_gates, self.norm_cell):
            nn.init.constant_(norm.gain, self.gain)
        nn.init.zeros_(self.bias_cell)

    def initial_state(self, batch: int) -> BatchNormLSTMState:
        """Return zeros."""
        h, c, _ = super().initial_state(batch)
        return BatchNormLSTMState(h, c, torch.zeros(batch, 1, dtype=torch.int64, device=h.device))

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x_t, and 1 for a step that counts, of all steps, (…, 4·hidden + 1)."""
        return F.pad(F.linear(inputs, self.weight_input), (0, 1), value=1.0)

    def project_padded(self, inputs: Tensor, valid: Tensor | None) -> Tensor:
        """Return W x_t, and 1 for a step that counts, 0 for padding, (time, batch, 4·hidden + 1)."""
        if valid is None:
            return self.project(inputs)
        return torch.cat([F.linear(inputs, self.weight_input), valid.to(inputs.dtype)], -1)

    def step(self, projected: Tensor, state: BatchNormLSTMState) -> BatchNormLSTMState:
        """Apply the equations above."""
        h, c, clock = state
        x, valid = projected.split((4 * self.hidden_size, 1), -1)
        now = self._now(clock, valid)
        both = torch.cat([x, F.linear(h, self.weight_recurrent)], -1)
        x, u = self.norm_gates(both, valid, now).chunk(2, -1)
        i, f, g, o = (x + u if self.bias is None else x + u + self.bias).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(self.norm_cell(c, valid, now) + self.bias_cell)
        return BatchNormLSTMState(h, c, clock + 1)

    def _now(self, clock: Tensor, valid: Tensor) -> Tensor:
        """Return whose statistics a step takes: in training (1,), in evaluation (batch,)."""
        if not self.training:
            return clock.squeeze(-1).minimum(self.trained_steps - 1).clamp(min=0)
        if len(clock) == 1:
            raise ValueError(
                "BatchNormLSTM: the batch is 1 sequence; training takes 2 or more, for a variance."
            )
        # Those that are not over are at the same step.
        now = (clock * (valid > 0)).amax().clamp(max=self.steps - 1).unsqueeze(0)
        self.trained_steps.copy_(torch.maximum(self.trained_steps, now.squeeze(0) + 1))
        return now
