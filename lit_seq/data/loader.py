"""Batches in an order that depends on nothing but the seed and the epoch, to be taken up anywhere."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lit_seq.data.batch import Batch

Order = Callable[[int], Sequence[Any]]
"""Epoch to the keys of its batches in the order of their use; as many in every epoch."""


def in_turn(batches: int) -> Order:
    """Return the order 0, 1, …, `batches` - 1 of every epoch."""
    return lambda epoch: range(batches)


def onward(batches: int) -> Order:
    """Return the order in which an epoch goes on counting where the one before it stopped."""
    return lambda epoch: range(epoch * batches, (epoch + 1) * batches)


def in_batches(examples: Sequence[int], batch_size: int) -> list[Sequence[int]]:
    """Return `examples` as lists of `batch_size`; the last one may be shorter."""
    return [examples[start : start + batch_size] for start in range(0, len(examples), batch_size)]


def shuffled(examples: int, batch_size: int, seed: int) -> Order:
    """Return the order in which every epoch uses each of `examples` once; a key lists a batch's examples."""

    def order(epoch: int) -> Sequence[Sequence[int]]:
        return in_batches(torch.randperm(examples, generator=generator(seed, epoch)).tolist(), batch_size)

    return order


def generator(*key: int) -> torch.Generator:
    """Return a generator that is a pure function of the integers `key`."""
    # torch's CPU generator looks at no more than 32 bits of its seed: mix all bits of the key into them
    words = [word for part in key for word in (part & _WORD, part >> 32 & _WORD)]
    return torch.Generator().manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))


_WORD = 2**32 - 1


class Share(Dataset[Batch]):
    """The part of each batch that is one process's: sequences `rank`, `rank` + `processes`, … of it.

    Every other one, as sequences of a batch may be sorted by length.

    Args:
        batches: gives a `Batch` for a key; a key that lists examples is divided before they are read.
        rank: the process's number, from 0.
        processes: how many there are.
    """

    def __init__(self, batches: Dataset[Batch], rank: int, processes: int) -> None:
        self.batches, self.rank = batches, rank
        self.own = slice(rank, None, processes)

    def __getitem__(self, key: Any) -> Batch:
        if isinstance(key, Sequence):
            idle = len(key) <= self.rank
            batch = self.batches[key[:1] if idle else key[self.own]]
        else:
            whole = self.batches[key]
            idle = len(whole.inputs) <= self.rank
            batch = whole.of(slice(1) if idle else self.own)
        return batch._replace(idle=True) if idle else batch


class Loader:
    """The batches of a data set in an `Order`, which can be taken up at any batch.

    Lightning's fit loop names the epoch through `sampler.set_epoch` before it draws the epoch's first
    batch, keeps `state_dict` in its checkpoints and returns it before it goes on. Not a `DataLoader`,
    because Lightning rebuilds those with samplers of its own and warns that they have no workers.

    Args:
        batches: gives a `Batch` for a key of `order`, which decides all of it: trials that are to be stacked
            are not where it draws from the process's random numbers.
        order: keys of the batches of an epoch.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    batch_sampler = None
    """Lightning asks a loader with a `sampler` for it."""

    def __init__(self, batches: Dataset[Batch], order: Order, num_workers: int = 0) -> None:
        self.batches = batches
        self.order = order
        self.num_workers = num_workers
        self._named = 0
        self._ahead = 0
        self._drawn = 0
        self._resumed: dict[str, int] | None = None

    def share(self, rank: int, processes: int) -> "Loader":
        """Return the part of these batches that is one process's, in the same order; see `Share`."""
        if processes == 1:
            return self
        return Loader(Share(self.batches, rank, processes), self.order, self.num_workers)

    @property
    def sampler(self) -> "Loader":
        """This loader itself: where Lightning looks for `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch whose order the next iteration follows."""
        self._named = epoch

    @property
    def epoch(self) -> int:
        """The epoch whose order is followed: the one that was named, less what Lightning is ahead."""
        return self._named - self._ahead

    def __len__(self) -> int:
        return len(self.order(0))

    def __iter__(self) -> Iterator[Batch]:
        # Being a generator matters: Lightning makes the iterator before it names the epoch.
        keys = self.begin()
        # A DataLoader takes longer than many a batch.
        made = (
            self.made_by_workers(self.batches, keys)
            if self.num_workers
            else map(self.batches.__getitem__, keys)
        )
        for batch in made:
            self.count()
            yield batch

    def begin(self) -> Sequence[Any]:
        """Begin an iteration; return the keys of its batches, each of which is to be counted when used."""
        self._drawn = 0
        if self._resumed is not None:
            epoch, named, drawn = self._resumed["epoch"], self._resumed["named"], self._resumed["drawn"]
            if named == self._named:
                self._drawn = drawn
            else:
                epoch += 1
            # Lightning 2.6, resumed at the end of an epoch, counts that epoch twice; so what was named
            # tells a new epoch from an old one, but not which one it is.
            self._ahead = self._named - epoch
            self._resumed = None
        return self.order(self.epoch)[self._drawn :]

    def count(self) -> None:
        """Count a batch as used."""
        self._drawn += 1

    def made_by_workers(self, batches: Dataset[Any], keys: Sequence[Any]) -> DataLoader[Any]:
        """Return what `batches` gives for `keys`, made ahead by the loader's processes."""
        # A generator of its own keeps torch's global one, and with it dropout, as it was.
        return DataLoader(
            batches,
            batch_size=None,
            sampler=keys,
            num_workers=self.num_workers,
            generator=torch.Generator(),
        )

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, the name it was given, and how many of its batches were drawn."""
        return self._resumed or {"epoch": self.epoch, "named": self._named, "drawn": self._drawn}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration go on after `state`, or with the next epoch if it is named another one."""
        self._resumed = dict(state)
