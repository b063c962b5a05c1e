"""One loader for all trials of a pack."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.data.batch import IGNORED, Batch


class PackBatch(NamedTuple):
    """What a pack trains on in one step.

    Attributes:
        batch: one batch for all trials, or their batches with a leading trial dimension.
        shared: whether it is one for all.
    """

    batch: Batch
    shared: bool


class PackLoader:
    """Draws from one loader for each group of trials with the same data, in step.

    Lightning sees it as one resumable loader; see `lit_seq.data.loader.Loader`.

    Args:
        loaders: one a group; all of the same length.
        rows: the group of each trial.
    """

    batch_sampler = None

    def __init__(self, loaders: Sequence[Any], rows: Sequence[int]) -> None:
        self._loaders = loaders
        self.rows = list(rows)

    @property
    def sampler(self) -> "PackLoader":
        """This loader itself: where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch whose order the next iteration follows."""
        for loader in self._loaders:
            if hasattr(loader.sampler, "set_epoch"):
                loader.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._loaders[0])

    def __iter__(self) -> Iterator[PackBatch]:
        for batches in zip(*self._loaders, strict=True):
            yield self._join(batches)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of one loader: they are in step."""
        return self._loaders[0].state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hand `state` to all loaders."""
        for loader in self._loaders:
            loader.load_state_dict(state)

    def _join(self, batches: Sequence[Batch]) -> PackBatch:
        used = sorted(set(self.rows))
        first = batches[used[0]]
        if all(_equal(first, batches[group]) for group in used[1:]):
            return PackBatch(first, shared=True)
        batches = _padded(batches)
        of_trials = [batches[row] for row in self.rows]
        lengths = [batch.lengths for batch in of_trials if batch.lengths is not None]
        stacked = Batch(
            torch.stack([batch.inputs for batch in of_trials]),
            torch.stack([batch.targets for batch in of_trials]),
            torch.stack(lengths) if lengths else None,
        )
        return PackBatch(stacked, shared=False)


def _equal(one: Iterable[Tensor | None], other: Iterable[Tensor | None]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def _padded(batches: Sequence[Batch]) -> list[Batch]:
    """Bring batches of different lengths to the longest: padding never changes a result."""
    steps = max(batch.inputs.shape[1] for batch in batches)

    def grow(values: Tensor, by: int, fill: float) -> Tensor:
        return functional.pad(values, (*[0] * (2 * values.dim() - 4), 0, by), value=fill) if by else values

    grown = []
    for batch in batches:
        by = steps - batch.inputs.shape[1]
        aligned = batch.targets.dim() > 1 and batch.targets.shape[1] == batch.inputs.shape[1]
        fill = 0 if batch.targets.is_floating_point() else IGNORED
        targets = grow(batch.targets, by, fill) if aligned and batch.lengths is not None else batch.targets
        grown.append(Batch(grow(batch.inputs, by, 0), targets, batch.lengths))
    return grown
