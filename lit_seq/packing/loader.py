"""One loader for all trials of a pack."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch.utils.data import Dataset

from lit_seq.data.loader import Loader
from lit_seq.packing.batches import PackBatch, join, spread
from lit_seq.packing.randomness import Stream, Watch

HOOKS = (
    "on_before_batch_transfer",
    "transfer_batch_to_device",
    "on_after_batch_transfer",
    "state_dict",
    "load_state_dict",
)
"""Of a data module, which a pack asks for its loaders only."""


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
        if all(isinstance(loader, Loader) and loader.num_workers for loader in self._loaders):
            yield from self._made_ahead()
            return
        drawing = {}
        for group in self._groups():
            with self._own(group):
                drawing[group] = iter(self._loaders[group])
        while (batches := self._draw(drawing)) is not None:
            yield self._of_trials(join([*batches.values()]), [*batches])

    def _made_ahead(self) -> Iterator[PackBatch]:
        """Let as many processes as a single trial has make the batches of all."""
        groups = self._groups()
        loaders = [self._loaders[group] for group in groups]
        together = _Together([loader.batches for loader in loaders], [loader.begin() for loader in loaders])
        for batch in loaders[0].made_by_workers(together, range(len(together.keys[0]))):
            for loader in loaders:
                loader.count()
            yield self._of_trials(batch, groups)

    def _of_trials(self, batch: PackBatch, groups: list[int]) -> PackBatch:
        if batch.shared or self.rows == groups:
            return batch
        return spread(batch, [groups.index(row) for row in self.rows])

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
        watch, batches = Watch(), {}
        for group in self._groups():
            with self._own(group):
                batch = next(drawing[group], None)
            if batch is None:
                return None
            batches[group] = batch
        watch.check()
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return the state of one loader: they are in step."""
        loader = self._loaders[self.rows[0]]
        return loader.state_dict() if hasattr(loader, "state_dict") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hand `state` to all loaders."""
        for loader in self._loaders if state else []:
            loader.load_state_dict(state)


class _Together(Dataset[PackBatch]):
    """Batch i of several data sets as one.

    Args:
        batches: the data sets.
        keys: of each, those of the batches, in the order of their use.
    """

    def __init__(self, batches: Sequence[Dataset[Any]], keys: Sequence[Sequence[Any]]) -> None:
        self.batches, self.keys = batches, keys

    def __getitem__(self, index: int) -> PackBatch:
        watch = Watch()
        made = [own[keys[index]] for own, keys in zip(self.batches, self.keys, strict=True)]
        watch.check()
        return join(made)
