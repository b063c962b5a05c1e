"""Each trial's own random numbers: those that it would draw alone."""

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lit_seq.cores.dropout import StepDropout
from lit_seq.packing.function import Unpackable


class Stream:
    """The state of torch's and Python's random generators, as one trial sees them.

    It begins where the generators stand when it is made.
    """

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        self._python = random.getstate()

    @contextmanager
    def drawn_from(self) -> Iterator[None]:
        """Let the process draw from this stream, and leave its own generators as they were."""
        before, here = Stream(), self
        here._set()
        try:
            yield
        finally:
            self.__init__()  # type: ignore[misc]
            before._set()

    def draw(self, module: nn.Module, like: Tensor) -> Tensor:
        """Return what `module` gives for ones, shaped and laid out as `like`, drawing from this stream."""
        with torch.no_grad():
            if like.is_cuda:
                before = torch.cuda.get_rng_state(like.device)
                assert self._cuda is not None
                torch.cuda.set_rng_state(self._cuda, like.device)
                drawn = module(torch.ones_like(like))
                self._cuda = torch.cuda.get_rng_state(like.device)
                torch.cuda.set_rng_state(before, like.device)
                return drawn
            before = torch.get_rng_state()
            torch.set_rng_state(self._cpu)
            drawn = module(torch.ones_like(like))
            self._cpu = torch.get_rng_state()
            torch.set_rng_state(before)
            return drawn

    def _set(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda)
        random.setstate(self._python)


class Watch:
    """Watches the process's random numbers on the CPU from the moment when it is made."""

    def __init__(self) -> None:
        self._torch, self._python = torch.get_rng_state(), random.getstate()

    def check(self) -> None:
        """Make sure that no batch drew from them: what one trial draws, another would not.

        Raises:
            Unpackable: one did.
        """
        if not torch.equal(self._torch, torch.get_rng_state()) or self._python != random.getstate():
            raise Unpackable("the data draws from the process's random numbers where it makes a batch")


class OwnSteps:
    """How many steps each trial's batch has alone, before it is padded like those of the others.

    Attributes:
        of: for each trial the steps of its "inputs" and "targets"; None where nothing was padded.
    """

    def __init__(self) -> None:
        self.of: Sequence[dict[str, int]] | None = None


class StackedDropout(nn.Module):
    """Dropout in which each trial has its own rate and its own random numbers.

    Args:
        trials: each trial's own dropout module; what it gives for ones is its mask.
        streams: each trial's random numbers.
        steps: the steps of the trials' batches.
    """

    trial: Tensor

    def __init__(self, trials: Sequence[nn.Module], streams: Sequence[Stream], steps: OwnSteps) -> None:
        super().__init__()
        # Out of nn.Module's sight: they hold nothing that stacks.
        self._own = [(trial, streams[index]) for index, trial in enumerate(trials)]
        self._steps = steps
        self.register_buffer("trial", torch.zeros(()), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return `values`, of one trial under vmap, times the trial's mask."""
        if not self.training or all(module.p == 0 for module, _ in self._own):
            return values
        # The trial's number makes the mask differ between trials also where their values are shared.
        return values * _Mask.apply(values.detach(), self.trial, self)

    def masks(self, values: Tensor) -> Tensor:
        """Draw the mask of every trial.

        Args:
            values: (trials, …).
        """
        return torch.stack(
            [
                self._mask(trial, module.train(), stream, values[trial])
                for trial, (module, stream) in enumerate(self._own)
            ]
        )

    def _mask(self, trial: int, module: nn.Module, stream: Stream, values: Tensor) -> Tensor:
        """Draw a trial's mask as it would alone; ones at steps that it has not."""
        if self._steps.of is None or not isinstance(module, StepDropout):
            return stream.draw(module, values)
        own = self._steps.of[trial][module.steps]
        drawn = stream.draw(module, values.narrow(module.time, 0, min(own, values.shape[module.time])))
        missing = list(values.shape)
        missing[module.time] -= drawn.shape[module.time]
        return torch.cat([drawn, drawn.new_ones(missing)], module.time)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Draw for the first trial only, and forget it."""
        own = self._own
        self._own = [(own[0][0], copy.copy(own[0][1]))]
        try:
            yield
        finally:
            self._own = own

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some trials only."""
        self._own = [self._own[row] for row in rows]


class _Mask(torch.autograd.Function):
    @staticmethod
    def forward(values: Tensor, trial: Tensor, dropout: StackedDropout) -> Tensor:
        raise NotImplementedError("a stacked dropout works under vmap only")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: Any, values: Tensor, trial: Tensor, dropout: StackedDropout) -> Any:
        where = in_dims[0]
        stacked = values.expand(info.batch_size, *values.shape) if where is None else values.movedim(where, 0)
        return dropout.masks(stacked), 0
