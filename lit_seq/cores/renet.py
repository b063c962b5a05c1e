"""A two-dimensional core: sweeps over an image."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells import LSTM, Cell
from lit_seq.cores.core import Core
from lit_seq.cores.stack import Stack
from lit_seq.scan import check_lengths


class ReNetLayer(nn.Module):
    """Four sweeps over an image (Visin et al. 2015, arXiv:1505.00393, eqs. 1–5).

    The image is cut into patches. Up and down each column of patches goes a scan, and left and right along
    each row of what the two give together, another. So each place of the result has seen the whole image.

    Args:
        channels: values of a place of the image.
        cell: update rule of the sweeps.
        hidden_size: features of each sweep; a place of the result has 2·hidden_size.
        patch: side of a patch, in places.
        options: further options of the two bidirectional `Stack`s.
    """

    def __init__(
        self, channels: int, cell: Callable[[int, int], Cell], hidden_size: int, patch: int, **options: Any
    ) -> None:
        super().__init__()
        self.patch = patch
        self.columns = Stack(channels * patch**2, cell, hidden_size, bidirectional=True, **options)
        self.rows = Stack(2 * hidden_size, cell, hidden_size, bidirectional=True, **options)

    def forward(self, image: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Sweep.

        Args:
            image: (rows, batch, columns, channels), with columns a multiple of `patch`; rows that are
                missing to a multiple are zero.
            lengths: rows that count in each image, (batch,) int64; None when all do.

        Returns:
            (patches down, batch, patches across, 2·hidden_size), zero where padded; and the patches down
            that count.
        """
        patches = self._patches(image, lengths)
        if lengths is not None:
            lengths = (lengths - 1) // self.patch + 1
        down, batch, across, _ = patches.shape
        every = None if lengths is None else lengths.repeat_interleave(across)
        vertical, _ = self.columns(patches.flatten(1, 2), lengths=every)
        vertical = vertical.unflatten(1, (batch, across))
        horizontal, _ = self.rows(vertical.permute(2, 0, 1, 3).flatten(1, 2))
        swept = horizontal.unflatten(1, (down, batch)).permute(1, 2, 0, 3)
        return swept if lengths is None else torch.where(_valid(swept, lengths), swept, 0.0), lengths

    def _patches(self, image: Tensor, lengths: Tensor | None) -> Tensor:
        """Return (patches down, batch, patches across, patch · patch · channels)."""
        if lengths is not None:
            image = torch.where(_valid(image, lengths), image, 0.0)
        p = self.patch
        image = F.pad(image, (0, 0, 0, 0, 0, 0, 0, -len(image) % p))
        blocks = image.unflatten(2, (-1, p)).unflatten(0, (-1, p))
        return blocks.permute(0, 2, 3, 1, 4, 5).flatten(3)


class ReNetState(NamedTuple):
    """State of a `ReNet` after an image.

    Attributes:
        summary: largest values of the result over its rows, (batch, output).
    """

    summary: Tensor


class ReNet(Core):
    """ReNet, four sweeps over an image: two-dimensional recurrence, for images and other grids.

    An image comes in as a sequence of its rows from top to bottom: a step's features are its columns from
    left to right, each with its channels. Layers of `ReNetLayer` turn it into a smaller image with
    2·hidden_size channels, whose rows are the outputs: at each step that of the patches in which the row
    lies. The summary is their maximum over the rows, feature by feature.

    Args:
        input_size: columns · channels.
        cell: update rule of the sweeps.
        hidden_size: features of each sweep.
        patches: side of the patches of each layer.
        channels: channels of the image.
        recurrent_dropout: see `Stack`.
        learned_initial_state: train the states before the first patch of each sweep.

    Raises:
        ValueError: the columns of an image cannot be cut into such patches.
    """

    causal = False
    values: ClassVar[tuple[str, ...]] = ("recurrent_dropout",)

    def __init__(
        self,
        input_size: int,
        cell: Callable[[int, int], Cell] = LSTM,
        hidden_size: int = 128,
        patches: Sequence[int] = (2,),
        channels: int = 1,
        recurrent_dropout: float = 0.0,
        learned_initial_state: bool = False,
    ) -> None:
        super().__init__(input_size)
        side = math.prod(patches)
        if min(channels, *patches, side) < 1 or not patches or input_size % (side * channels):
            raise ValueError(
                f"ReNet: a row of {input_size} features is not made of patches of sides {list(patches)},"
                f" with {channels} channels a column."
            )
        options = {"recurrent_dropout": recurrent_dropout, "learned_initial_state": learned_initial_state}
        sizes = [channels] + [2 * hidden_size] * (len(patches) - 1)
        self.channels, self.side = channels, side
        self.layers = nn.ModuleList(
            ReNetLayer(size, cell, hidden_size, patch, **options)
            for size, patch in zip(sizes, patches, strict=True)
        )
        self.output_size = input_size // (side * channels) * 2 * hidden_size

    def initial_state(self, batch: int) -> ReNetState:
        """Return the summary of no image."""
        first: Any = self.layers[0]
        (((h, *_), _),) = first.columns.initial_state(batch)
        return ReNetState(h.new_zeros(batch, self.output_size))

    def forward(
        self, inputs: Tensor, state: ReNetState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, ReNetState]:
        """See `Core.forward`; an image is read from its edges, whatever `state` says of another one."""
        check_lengths(self, lengths, *inputs.shape[:2])
        image = inputs.unflatten(-1, (-1, self.channels))
        if lengths is not None:
            lengths = lengths.to(inputs.device)
        counted = lengths
        for layer in self.layers:
            image, counted = layer(image, counted)
        rows = image.flatten(2)
        seen = rows if counted is None else torch.where(_valid(rows, counted), rows, -torch.inf)
        outputs = rows.repeat_interleave(self.side, 0)[: len(inputs)]
        if lengths is not None:
            outputs = torch.where(_valid(outputs, lengths), outputs, 0.0)
        return outputs, ReNetState(seen.amax(0))

    def summary(self, state: ReNetState) -> Tensor:
        """Return the largest values over the result's rows, (batch, output)."""
        return state.summary


def _valid(rows: Tensor, lengths: Tensor) -> Tensor:
    """Return whether each row of (rows, batch, …) counts, in a shape that broadcasts."""
    valid = torch.arange(len(rows), device=rows.device).unsqueeze(1) < lengths
    return valid.reshape(*valid.shape, *[1] * (rows.dim() - 2))
