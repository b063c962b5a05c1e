"""A sequence in, one answer a step, and each answer fed back at the next step."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_seq.cores import Core, CoreState, Stack
from lit_seq.cores.dropout import StepDropout
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.many_to_many import ManyToMany


class OutputFeedback(ManyToMany):
    """One class or value a step, from the input and the output before it; with the cell Jordan his network.

    Each step's core reads [x_t; y_{t-1}], with y_0 = 0. A class is fed back as its one-hot vector, values and
    bits as they are. In training y_{t-1} is the target of the step before (teacher forcing, Williams & Zipser
    1989), so that a core without memory of its own computes all steps at once. Validation, testing and
    prediction run free: y_{t-1} is what the model said, the likeliest class or the value.

    With `sampling` above 0 training, too, feeds back what the model said, at each step of each sequence with
    that probability (scheduled sampling, Bengio et al. 2015, with a constant schedule). No gradient goes
    through what is fed back; so it is found step by step without one, and then all steps are computed anew.

    Running text is refused: its target at one step is the input of the next, which the model sees anyway.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a causal `Core` class with its options.
        embedding_size: features of a token's learned embedding; None feeds one-hot vectors.
        washout: first steps of a sequence, counted in no loss or metric.
        sampling: probability of feeding back the model's own output in training.
    """

    values: ClassVar[tuple[str, ...]] = ("sampling",)
    feeds_back = True

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
        washout: int = 0,
        sampling: float = 0.0,
    ) -> None:
        super().__init__(task, core, embedding_size, washout)
        if not self.core.causal:
            raise UserError(
                "OutputFeedback needs a core that reads from left to right; a bidirectional one would have to"
                " read outputs before they are said."
            )
        if not 0 <= sampling <= 1:
            raise UserError(f"OutputFeedback: sampling is {sampling}; it must be from 0 to 1.")
        # A module, as each stacked trial has its own probability and its own random numbers.
        self.sampling = StepDropout(sampling)
        self.save_hyperparameters({"sampling": sampling}, logger=False)

    @property
    def feature_size(self) -> int:
        """Features of a step that enter the core: those of the input and those that are fed back."""
        return super().feature_size + self.task.target_size

    def forward(self, batch: Batch, state: CoreState | None = None) -> tuple[Tensor, CoreState]:
        """Return the head's outputs, (time, batch, target_size), and the state after the batch."""
        inputs = self.features(batch.inputs)
        targets = self._fed(batch.targets.transpose(0, 1))
        before = torch.cat([torch.zeros_like(targets[:1]), targets[:-1]])
        # In a pack it is no longer nn.Dropout, and some trial's probability is above 0.
        if not self.training or getattr(self.sampling, "p", 1) > 0:
            taught = self.sampling(torch.ones_like(before[..., :1])) > 0
            before = self._said(inputs, before, taught & self.training, state)
        outputs, state = self.core(torch.cat([inputs, before], -1), state, batch.lengths)
        return self.head(outputs), state

    @torch.no_grad()
    def _said(self, inputs: Tensor, targets: Tensor, taught: Tensor, state: CoreState | None) -> Tensor:
        """Return what is fed back at each step, (time, batch, target_size), without dropout.

        Args:
            inputs: (time, batch, features).
            targets: those of the steps before, (time, batch, target_size).
            taught: where they are fed back; elsewhere it is what the model said, (time, batch, 1).
            state: the core's state before the first step.
        """
        said, before = torch.zeros_like(targets[0]), []
        self.core.eval()
        for x, target, use in zip(inputs, targets, taught, strict=True):
            before.append(torch.where(use, target, said))
            outputs, state = self.core(torch.cat([x, before[-1]], -1).unsqueeze(0), state)
            said = self._answer(self.head(outputs[0]))
        self.core.train(self.training)
        return torch.stack(before)

    def _fed(self, targets: Tensor) -> Tensor:
        """Return targets as they are fed back; what is `IGNORED` as zeros."""
        match self.task.targets:
            case "classes":
                return self._one_hot(targets)
            case "bits":
                return targets.clamp(min=0).to(self.head.weight.dtype)
            case "values":
                return targets

    def _answer(self, outputs: Tensor) -> Tensor:
        """Return the head's outputs as they are fed back."""
        match self.task.targets:
            case "classes":
                return self._one_hot(outputs.argmax(-1))
            case "bits":
                return (outputs > 0).to(outputs.dtype)
            case "values":
                return outputs

    def _one_hot(self, classes: Tensor) -> Tensor:
        own = torch.arange(self.task.target_size, device=classes.device)
        return (classes.unsqueeze(-1) == own).to(self.head.weight.dtype)
