"""One optimiser for stacked trials."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_seq.packing.update_rules import RULES, Values

_SMALL = {"cpu": 2**11, "cuda": 2**15}
"""Elements of a trial up to which a parameter is copied together with others.

Of a trial, not of all: norms are summed in the same order in a stack of any size.
"""


class StackedOptimizer(Optimizer):
    """One optimiser over stacked parameters whose trials keep their own values.

    An update takes about twenty operations, whose fixed cost is most of that of a small parameter. So small
    ones are updated together, as one matrix (trials, elements).

    Args:
        parameters: stacked parameters, each (trials, …).
        trials: each trial's own torch.optim optimiser, all of one class in `RULES`; schedulers act on these.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], trials: Sequence[Optimizer]) -> None:
        super().__init__(parameters, {})
        self.trials = list(trials)
        self._rule = RULES[type(self.trials[0])][0]
        self._arranged: list[nn.Parameter] = []
        self._buckets: list[_Bucket] = []
        self._gradients: list[Tensor] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Take up new values of the trials' optimisers."""
        device = self.param_groups[0]["params"][0].device
        self._values = Values([trial.param_groups[0] for trial in self.trials], device)

    def gradients(self) -> list[Tensor]:
        """Return the gradients of all parameters, each (trials, elements), as the next step takes them.

        What is changed in them changes the step, and need not change `grad` of the parameters.
        """
        if self._gradients is None:
            parameters = [one for one in self.param_groups[0]["params"] if one.grad is not None]
            if not _same(parameters, self._arranged):
                self._arrange(parameters)
            self._gradients = [bucket.gradient() for bucket in self._buckets]
        return self._gradients

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self._gradients = None
        super().zero_grad(set_to_none)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all trials."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients = self.gradients()
        for bucket, gradient in zip(self._buckets, gradients, strict=True):
            values = bucket.values()
            self._rule(values, gradient, bucket.state, self._values)
            bucket.take(values, self.state)
        self._gradients = None
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state."""
        super().load_state_dict(state_dict)
        self._arranged, self._buckets = [], []

    def keep(self, parameters: Sequence[nn.Parameter], rows: Sequence[int]) -> None:
        """Go on with some trials only.

        Args:
            parameters: the stacked parameters that remain, in the order of the old ones.
            rows: the trials that remain.
        """
        index = torch.tensor(rows, device=parameters[0].device)
        for old, new in zip(self.param_groups[0]["params"], parameters, strict=True):
            state = self.state.pop(old, {})
            if state:
                self.state[new] = {name: value[index.to(value.device)] for name, value in state.items()}
        self.param_groups[0]["params"] = list(parameters)
        self.trials = [self.trials[row] for row in rows]
        self._arranged, self._buckets = [], []
        self.refresh()

    def _arrange(self, parameters: list[nn.Parameter]) -> None:
        """Put those together that are small and have been updated equally often."""
        together: dict[Any, list[nn.Parameter]] = {}
        for parameter in parameters:
            state = self.state[parameter]
            small = parameter[0].numel() <= _SMALL.get(parameter.device.type, 0)
            steps = tuple(state["step"].tolist()) if "step" in state else None
            kind = parameter.dtype, parameter.device, frozenset(state), steps
            together.setdefault(kind if small else parameter, []).append(parameter)
        self._buckets = [_Bucket(group, self.state) for group in together.values()]
        self._arranged = parameters


class _Bucket:
    """Parameters that are updated as one.

    Args:
        parameters: the parameters, of one type and on one device.
        states: what the optimiser keeps of each, of equal names and numbers of steps.

    Attributes:
        state: that of all, each entry (trials, elements), but for "step", (trials,).
    """

    def __init__(self, parameters: Sequence[nn.Parameter], states: Any) -> None:
        self._parameters = parameters
        self._matrices = [parameter.detach().view(len(parameter), -1) for parameter in parameters]
        self._sizes = [matrix.shape[1] for matrix in self._matrices]
        own = [states[parameter] for parameter in parameters]
        self.state: dict[str, Tensor] = {
            # A copy: of those that leave the bucket, each counts for itself.
            name: value.clone() if name == "step" else _joined([_matrix(state[name]) for state in own])
            for name, value in own[0].items()
        }
        self._shown: set[str] = set()

    def gradient(self) -> Tensor:
        """Return the gradient of all."""
        return _joined([_matrix(one.grad) for one in self._parameters if one.grad is not None])

    def values(self) -> Tensor:
        """Return the values of all; `take` takes what they become."""
        return _joined(self._matrices)

    def take(self, values: Tensor, states: Any) -> None:
        """Take new values, and let `states` show the parts of the state, for checkpoints."""
        if len(self._matrices) > 1:
            torch._foreach_copy_(self._matrices, values.split(self._sizes, 1))
        for name in [name for name in self.state if name not in self._shown]:
            parts = self.state[name].split(self._sizes, 1) if name != "step" else ()
            for index, parameter in enumerate(self._parameters):
                own = parts[index].view_as(parameter) if parts else self.state[name]
                states[parameter][name] = own
            self._shown.add(name)


def _matrix(stacked: Tensor) -> Tensor:
    return stacked.reshape(len(stacked), -1)


def _joined(matrices: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(matrices), 1) if len(matrices) > 1 else matrices[0]


def _same(some: Sequence[nn.Parameter], others: Sequence[nn.Parameter]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
