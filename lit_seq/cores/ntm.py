"""The neural Turing machine."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_map

from lit_seq.cells import LSTM, Cell
from lit_seq.cores.addressing import by_content, by_location
from lit_seq.cores.core import Core
from lit_seq.cores.initial_state import trainable, trained
from lit_seq.scan import check_lengths
from lit_seq.scan.padding import chosen


class NTMState(NamedTuple):
    """State of a neural Turing machine.

    Attributes:
        controller: state of the controller's cell.
        memory: M, (batch, rows, width).
        weights: w of the read heads and then the write heads, (batch, heads, rows).
        reads: r of the read heads, (batch, read heads · width).
    """

    controller: Any
    memory: Tensor
    weights: Tensor
    reads: Tensor


class NTM(Core):
    """Neural Turing machine, a controller with a memory that it addresses, for copying and other algorithms.

    At each step the controller reads the input and what the heads read before,

        h_t = f(h_{t-1}, [x_t; r_{t-1}]),

    and an affine map of h_t gives each head k, β, g, s and γ, and the writing ones also e and a. With the
    content weights w^c, the shift and the sharpening of `lit_seq.cores.addressing`,

        w_t = sharpen_γ(shift_s(g w^c(k, β, M_{t-1}) + (1 - g) w_{t-1}))   (Graves et al. 2014, eqs. 5–9)
        r_t = Σ_i w_t(i) M_{t-1}(i)                                        (eq. 2)
        M_t(i) = M_{t-1}(i) ⊙ ∏ (1 - w_t(i) e_t) + Σ w_t(i) a_t            (eqs. 3 and 4, over write heads)

    The output is [h_t; r_t]. Heads begin at the first row of the memory.

    Args:
        input_size: features of an input.
        cell: the controller; `FeedForward` has no memory of its own.
        hidden_size: features of the controller.
        rows: locations of the memory.
        width: features of a location.
        read_heads: heads that read.
        write_heads: heads that write.
        reach: rows that a head can shift by at a step, in either direction.
        learned_initial_state: train what memory, reads and controller hold before the first step; else the
            memory is blank.

    Raises:
        ValueError: a size is too small, or `reach` goes round the memory.
    """

    causal = True

    def __init__(
        self,
        input_size: int,
        cell: Callable[[int, int], Cell] = LSTM,
        hidden_size: int = 128,
        rows: int = 128,
        width: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        reach: int = 1,
        learned_initial_state: bool = False,
    ) -> None:
        super().__init__(input_size)
        sizes = {"rows": rows, "width": width, "read_heads": read_heads, "write_heads": write_heads}
        for name, size in {**sizes, "reach": reach}.items():
            if size < 1:
                raise ValueError(f"NTM: {name} is {size}; it must be at least 1.")
        if 2 * reach >= rows:
            raise ValueError(f"NTM: reach is {reach}; it must be below half of the {rows} rows.")
        self.rows, self.width, self.read_heads, self.write_heads = rows, width, read_heads, write_heads
        self.controller = cell(input_size + read_heads * width, hidden_size)
        heads = read_heads + write_heads
        # β, g, γ and s of all heads, their k, then e and a of those that write.
        self._sizes = [
            heads,
            heads,
            heads,
            heads * (2 * reach + 1),
            heads * width,
            *[write_heads * width] * 2,
        ]
        self.heads = nn.Linear(hidden_size, sum(self._sizes))
        self.output_size = hidden_size + read_heads * width
        self.initial = (
            nn.ParameterList(
                [
                    torch.zeros(rows, width),
                    torch.zeros(read_heads * width),
                    *trainable(self.controller.initial_state(1)),
                ]
            )
            if learned_initial_state
            else None
        )

    def initial_state(self, batch: int) -> NTMState:
        """Return the state with each head at the first row."""
        controller = self.controller.initial_state(batch)
        like = self.heads.weight
        first = F.one_hot(torch.zeros((), dtype=torch.int64, device=like.device), self.rows).to(like.dtype)
        weights = first.expand(batch, self.read_heads + self.write_heads, -1)
        if self.initial is None:
            memory, reads = (
                like.new_zeros(self.rows, self.width),
                like.new_zeros(self.read_heads * self.width),
            )
        else:
            memory, reads, *learned = self.initial
            controller = trained(controller, iter(learned))
        return NTMState(controller, memory.expand(batch, -1, -1), weights, reads.expand(batch, -1))

    def forward(
        self, inputs: Tensor, state: NTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NTMState]:
        """See `Core.forward`."""
        time, batch, _ = inputs.shape
        check_lengths(self, lengths, time, batch)
        state = self.initial_state(batch) if state is None else state
        valid = None
        if lengths is not None:
            valid = torch.arange(time, device=inputs.device).unsqueeze(1) < lengths.to(inputs.device)
            inputs = torch.where(valid.unsqueeze(-1), inputs, 0.0)
        outputs, reads = [], []
        # Rounding adds up over time: a recurrence runs in the precision of its parameters.
        with torch.autocast(inputs.device.type, enabled=False), parametrize.cached():
            for t, x in enumerate(inputs.to(self.heads.weight.dtype).unbind(0)):
                after = self._step(x, state)
                state = after if valid is None else tree_map(partial(chosen, valid[t]), after, state)
                outputs.append(self.controller.output(state.controller))
                reads.append(state.reads)
        joined = torch.cat([torch.stack(outputs), torch.stack(reads)], -1)
        return joined if valid is None else torch.where(valid.unsqueeze(-1), joined, 0.0), state

    def summary(self, state: NTMState) -> Tensor:
        """Return [h; r], (batch, output)."""
        return torch.cat([self.controller.output(state.controller), state.reads], -1)

    def attention_weights(self, state: NTMState) -> Tensor:
        """Return the weights of the memory's rows, (batch, heads, rows)."""
        return state.weights

    def _step(self, x: Tensor, state: NTMState) -> NTMState:
        controller, memory, before, reads = state
        controller = self.controller.step(self.controller.project(torch.cat([x, reads], -1)), controller)
        emitted = self.heads(self.controller.output(controller)).split(self._sizes, -1)
        strength, gate, sharpness, shift, key, erase, add = emitted
        content = by_content(key.unflatten(-1, (-1, self.width)), F.softplus(strength).unsqueeze(-1), memory)
        weights = by_location(
            torch.lerp(before, content, torch.sigmoid(gate).unsqueeze(-1)),
            torch.softmax(shift.unflatten(-1, (before.shape[1], -1)), -1),
            1 + F.softplus(sharpness).unsqueeze(-1),
        )
        reading, writing = weights.split((self.read_heads, self.write_heads), 1)
        written = memory
        for weight, erased in zip(
            writing.unbind(1), torch.sigmoid(erase).chunk(self.write_heads, -1), strict=True
        ):
            written = written - written * (weight.unsqueeze(-1) * erased.unsqueeze(-2))
        written = torch.baddbmm(written, writing.mT, add.unflatten(-1, (-1, self.width)))
        return NTMState(controller, written, weights, (reading @ memory).flatten(1))
