"""One loader for all trials of a pack."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.loader import Loader
from lit_seq.data.module import SequenceData
from lit_seq.data.tree import padded
from lit_seq.packing.function import Unpackable
from lit_seq.packing.randomness import Stream, Watch


class PackBatch(NamedTuple):
    """What a pack trains on in one step.

    Attributes:
        batch: one batch for all trials, or their batches with a leading trial dimension.
        shared: whether it is one for all.
        steps: how many steps the "inputs" and "targets" of each trial's batch have alone; None where none was
            padded like those of the others.
    """

    batch: Any
    shared: bool
    steps: list[dict[str, int]] | None = None


def of_trial(batch: PackBatch, trial: int) -> Any:
    """Return the batch that one trial sees."""
    if batch.shared:
        return batch.batch
    return tree_map(lambda leaf: leaf[trial] if isinstance(leaf, Tensor) else leaf, batch.batch)


def check_data(data: L.LightningDataModule) -> None:
    """Refuse data that acts in a hook, where a pack would not let it.

    Raises:
        Unpackable: it does.
    """
    for name in _HOOKS:
        if getattr(type(data), name) not in (
            getattr(base, name) for base in (L.LightningDataModule, SequenceData)
        ):
            raise Unpackable(f"{type(data).__name__} overrides {name}")


_HOOKS = (
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
    "state_dict",
    "load_state_dict",
)


class PackLoader:
    """Draws from one loader for each group of trials with the same data, in step.

    Lightning sees it as one resumable loader; see `lit_seq.data.loader.Loader`.

    Args:
        loaders: one a group; all of the same length.
        rows: the group of each trial.
        streams: the random numbers that each loader draws from, as a shuffling `DataLoader` does; a `Loader`
            draws from none.
    """

    batch_sampler = None

    def __init__(self, loaders: Sequence[Any], rows: Sequence[int], streams: Sequence[Stream]) -> None:
        self._loaders, self._streams = loaders, streams
        self.rows = list(rows)

    @property
    def sampler(self) -> "PackLoader":
        """This loader itself: where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch whose order the next iteration follows."""
        for loader in self._loaders:
            if hasattr(getattr(loader, "sampler", None), "set_epoch"):
                loader.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._loaders[0])

    def __iter__(self) -> Iterator[PackBatch]:
        drawing = {}
        for group in self._groups():
            with self._own(group):
                drawing[group] = iter(self._loaders[group])
        while (batches := self._draw(drawing)) is not None:
            yield self._join(batches)

    def _groups(self) -> list[int]:
        # Trials leave between two batches, and a group with the last of its trials.
        return sorted(set(self.rows))

    def _own(self, group: int) -> AbstractContextManager[None]:
        """Let the loader of a group draw from its own random numbers, if it draws from any."""
        return (
            nullcontext() if isinstance(self._loaders[group], Loader) else self._streams[group].drawn_from()
        )

    def _draw(self, drawing: dict[int, Iterator[Any]]) -> dict[int, Any] | None:
        """Return the next batch of each group; None where there is none left.

        Raises:
            Unpackable: a `Loader` draws from the process's random numbers, which are no trial's.
        """
        watch = Watch()
        batches = {}
        for group in self._groups():
            with self._own(group):
                batch = next(drawing[group], None)
            if batch is None:
                return None
            batches[group] = batch
        if watch.saw_some_drawn():
            raise Unpackable("the data draws from the process's random numbers where it makes a batch")
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return the state of one loader: they are in step."""
        loader = self._loaders[self.rows[0]]
        return loader.state_dict() if hasattr(loader, "state_dict") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hand `state` to all loaders."""
        for loader in self._loaders if state else []:
            loader.load_state_dict(state)

    def _join(self, batches: dict[int, Any]) -> PackBatch:
        first, *others = batches.values()
        if all(_equal(first, other) for other in others):
            return PackBatch(first, shared=True)
        steps = None
        if isinstance(first, Batch):
            if any(_shapes(batch) != _shapes(first) for batch in others):
                own = {group: _steps(batch) for group, batch in batches.items()}
                steps = [own[row] for row in self.rows]
                batches = dict(zip(batches, _padded(list(batches.values())), strict=True))
            if first.tree is None:
                columns = zip(*(batches[row] for row in self.rows), strict=True)
                return PackBatch(Batch(*map(_stack, columns)), False, steps)
        leaves, structures = zip(*(tree_flatten(batches[row]) for row in self.rows), strict=True)
        return PackBatch(
            tree_unflatten([_stack(of) for of in zip(*leaves, strict=True)], structures[0]), False, steps
        )


def _stack(leaves: Sequence[Any]) -> Any:
    return torch.stack(list(leaves)) if isinstance(leaves[0], Tensor) else leaves[0]


def _equal(one: Any, other: Any) -> bool:
    (leaves, structure), (others, other_structure) = tree_flatten(one), tree_flatten(other)
    return structure == other_structure and all(
        a is b or (torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b)
        for a, b in zip(leaves, others, strict=True)
    )


def _shapes(batch: Batch) -> Any:
    """Return the shapes of all that may be padded."""
    tree = () if batch.tree is None else tuple(leaf.shape for leaf in tree_leaves(batch.tree))
    return batch.inputs.shape, batch.targets.shape, tree


def _steps(batch: Batch) -> dict[str, int]:
    """Return the length of the second dimension, which is time if anything can be padded."""
    parts = {"inputs": batch.inputs, "targets": batch.targets}
    return {name: part.shape[1] if part.dim() > 1 else 1 for name, part in parts.items()}


def _padded(batches: Sequence[Batch]) -> list[Batch]:
    """Bring inputs, targets and trees to the longest there are: padding never changes a result."""
    fill = 0 if batches[0].targets.is_floating_point() else IGNORED
    inputs = _grown([batch.inputs for batch in batches], 0)
    targets = _grown([batch.targets for batch in batches], fill)
    trees = [batch.tree for batch in batches if batch.tree is not None]
    grown = padded(trees, inputs[0].shape[1]) if trees else [None] * len(batches)
    return [
        batch._replace(inputs=own, targets=wanted, tree=tree)
        for batch, own, wanted, tree in zip(batches, inputs, targets, grown, strict=True)
    ]


def _grown(tensors: Sequence[Tensor], fill: float) -> Sequence[Tensor]:
    """Bring tensors, batch first and then time, to the longest time of them."""
    if tensors[0].dim() == 1:
        return tensors
    steps = max(tensor.shape[1] for tensor in tensors)
    behind = [0] * (2 * tensors[0].dim() - 4)
    return [functional.pad(one, (*behind, 0, steps - one.shape[1]), value=fill) for one in tensors]
