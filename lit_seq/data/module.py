"""What all data modules have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import lightning as L
import torch

from lit_seq.data.batch import Batch
from lit_seq.data.bucketing import bucketed
from lit_seq.data.loader import Loader, in_batches, shuffled
from lit_seq.data.task import Task
from lit_seq.errors import UserError

Split = Literal["train", "validation", "test"]


class SequenceData(L.LightningDataModule, ABC):
    """Sequences to learn from, described by a `Task`.

    A new data set needs `task` and `loader`. Both load or generate what they need when first asked, so
    a topology can be sized right after construction.

    Where several processes train a model, each has its part of every batch: together they see the batches
    that one process would see with a `batch_size` so many times as large.

    Args:
        batch_size: sequences of a batch in each process.
        seed: decides order and content of the training batches; by default the run's seed.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.

    Attributes:
        seed: the seed in use.
    """

    def __init__(self, batch_size: int, seed: int | None = None, num_workers: int = 0) -> None:
        super().__init__()
        self._own_batch_size = self._at_least(1, batch_size=batch_size)
        self.num_workers = self._at_least(0, num_workers=num_workers)
        self.seed = torch.initial_seed() if seed is None else seed

    @property
    def batch_size(self) -> int:
        """Sequences of a batch, those of all processes together."""
        return self._own_batch_size * self.processes

    @property
    def processes(self) -> int:
        """How many processes train a model on the data together."""
        return 1 if self.trainer is None else self.trainer.world_size

    @property
    @abstractmethod
    def task(self) -> Task:
        """Shape and meaning of inputs and targets."""

    @abstractmethod
    def loader(self, split: Split) -> Loader | None:
        """Return the batches of `split`, those of all processes together; None where there are none."""

    def train_dataloader(self) -> Loader:
        """Return this process's part of the training batches."""
        return self._share(self._required("train"))

    def val_dataloader(self) -> Loader | list[Loader]:
        """Return this process's part of the validation batches, the same for every training seed."""
        loader = self.loader("validation")
        return self._share(loader) if loader else []

    def test_dataloader(self) -> Loader:
        """Return this process's part of the test batches, the same for every training seed."""
        return self._share(self._required("test"))

    def predict_dataloader(self) -> Loader:
        """Return the test batches: predictions are for data that training never saw."""
        return self._required("test")

    def state_dict(self) -> dict[str, int]:
        """Return what a batch was, for a checkpoint: places in the order of the data count batches."""
        return {"batch_size": self.batch_size, "processes": self.processes}

    def _share(self, loader: Loader) -> Loader:
        trainer = self.trainer
        return loader if trainer is None else loader.share(trainer.global_rank, trainer.world_size)

    def _in_batches(self, split: Split, examples: Any, bucketing: bool = False) -> Loader | None:
        """Return the batches of stored examples; None where there are none.

        Args:
            split: which part of the data they are; those to train on come in random order.
            examples: a `Dataset` that gives a `Batch` for a list of examples; None where there are none.
            bucketing: whether batches to train on are of similar lengths, as the examples' `steps` say.
        """
        if not examples:
            return None
        if split != "train":
            batches = in_batches(range(len(examples)), self.batch_size)
            return Loader(examples, lambda epoch: batches, self.num_workers)
        if bucketing:
            return Loader(examples, bucketed(examples.steps, self.batch_size, self.seed), self.num_workers)
        return Loader(examples, shuffled(len(examples), self.batch_size, self.seed), self.num_workers)

    def _required(self, split: Split) -> Loader:
        loader = self.loader(split)
        if loader is None:
            raise self._wrong(f"there is no {split} data, because its share of the data is 0.")
        return loader

    def _wrong(self, sentence: str) -> UserError:
        return UserError(f"{type(self).__name__}: {sentence}")

    def _at_least(self, minimum: int, **argument: int) -> int:
        """Return the one `argument`, refusing a value below `minimum`."""
        ((name, value),) = argument.items()
        if value < minimum:
            raise self._wrong(f"{name} is {value}; it must be at least {minimum}.")
        return value

    def _fractions(self, validation: float, test: float) -> dict[Split, float]:
        """Return the parts of the data to hold out, refusing those that leave nothing to train on."""
        if validation < 0 or test < 0 or validation + test >= 1:
            raise self._wrong(
                f"validation_fraction is {validation} and test_fraction {test}; neither may be negative, and"
                " their sum must be less than 1."
            )
        return {"validation": validation, "test": test}


def held_out(trainer: L.Trainer) -> Iterable[Batch]:
    """Return the validation batches, in each process all of them: for looking at a model."""
    data = getattr(trainer, "datamodule", None)
    if isinstance(data, SequenceData):
        return data.loader("validation") or []
    return [] if data is None else data.val_dataloader()
