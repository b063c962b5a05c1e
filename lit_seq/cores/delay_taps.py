"""A core whose only memory is the last few inputs themselves."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lit_seq.cores.core import Core, CoreState
from lit_seq.errors import UserError
from lit_seq.scan.interface import check_lengths


class DelayTapsState(NamedTuple):
    """State of `DelayTaps` after a sequence.

    Attributes:
        seen: the last inputs, the newest one last, (batch, taps, input).
        reader: the state of what reads the taps; () where nothing does.
    """

    seen: Tensor
    reader: CoreState


class DelayTaps(Core):
    """A tapped delay line, the baseline that remembers a fixed number of steps and nothing else.

        d_t = [x_t; x_{t-1}; …; x_{t-k+1}],  with x_t = 0 before the first step

    With no reader the output is d_t, and a topology's linear head makes it the linear model with k lags: on
    a series whose next value is the target, the autoregressive model AR(k) (Yule 1927). A `Stack` of
    `FeedForward` cells as reader makes it the time-delay network (Lang, Waibel & Hinton 1990, Neural Networks
    3), a recurrent one a network that reads the series in delay coordinates (Takens 1981).

    Args:
        input_size: features of an input.
        taps: k, steps that are seen at once, the current one among them.
        reader: what reads d_t, a `Core` class with its options; null hands it on as it is.

    Raises:
        UserError: `taps` is below 1.
    """

    def __init__(self, input_size: int, taps: int = 10, reader: Callable[[int], Core] | None = None) -> None:
        super().__init__(input_size)
        if taps < 1:
            raise UserError(f"DelayTaps: taps is {taps}; it must be at least 1.")
        self.taps = taps
        self.reader = None if reader is None else reader(taps * input_size)
        self.output_size = taps * input_size if self.reader is None else self.reader.output_size
        self.causal = self.reader is None or self.reader.causal
        # Tells the device and precision that a state has, as there may be no parameter.
        self.register_buffer("_zero", torch.zeros(()), persistent=False)

    _zero: Tensor

    def initial_state(self, batch: int) -> DelayTapsState:
        """Return taps full of zeros, and the reader's initial state."""
        return DelayTapsState(
            self._zero.expand(batch, self.taps, self.input_size),
            () if self.reader is None else self.reader.initial_state(batch),
        )

    def forward(
        self, inputs: Tensor, state: DelayTapsState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, DelayTapsState]:
        """See `Core.forward`."""
        time, batch, _ = inputs.shape
        check_lengths(self, lengths, time, batch)
        state = self.initial_state(batch) if state is None else state
        if lengths is not None:
            valid = (torch.arange(time, device=inputs.device).unsqueeze(1) < lengths).unsqueeze(-1)
            inputs = torch.where(valid, inputs, 0.0)
        line = torch.cat([state.seen.transpose(0, 1), inputs])
        delayed = torch.cat([line[self.taps - lag : self.taps - lag + time] for lag in range(self.taps)], -1)
        seen = _last(line, self.taps, lengths)
        if self.reader is not None:
            outputs, reader = self.reader(delayed, state.reader, lengths)
            return outputs, DelayTapsState(seen, reader)
        outputs = delayed if lengths is None else torch.where(valid, delayed, 0.0)
        return outputs, DelayTapsState(seen, ())

    def summary(self, state: DelayTapsState) -> Tensor:
        """Return the output at the last step, (batch, output)."""
        return state.seen.flip(1).flatten(1) if self.reader is None else self.reader.summary(state.reader)

    def attention_weights(self, state: DelayTapsState) -> Tensor | None:
        """Return where the reader looked."""
        return None if self.reader is None else self.reader.attention_weights(state.reader)


def _last(line: Tensor, taps: int, lengths: Tensor | None) -> Tensor:
    """Return the last inputs of each sequence, (batch, taps, input), of a line that starts with old ones."""
    if lengths is None:
        return line[-taps:].transpose(0, 1)
    steps = lengths.to(line.device) + torch.arange(taps, device=line.device).unsqueeze(1)
    return line.gather(0, steps.unsqueeze(-1).expand(-1, -1, line.shape[2])).transpose(0, 1)
