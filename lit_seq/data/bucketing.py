"""Batches of examples of similar lengths, so that little of a batch is padding."""

from collections.abc import Sequence

import torch

from lit_seq.data.loader import Order, generator, in_batches

POOL = 20
"""Batches whose examples are sorted together: the more, the less padding; the fewer, the more chance."""


def bucketed(lengths: Sequence[int], batch_size: int, seed: int) -> Order:
    """Return the order in which every epoch uses each example once, in batches of similar lengths.

    Each epoch draws its examples at random, sorts every `POOL` batches of them by length (as torchtext's
    BucketIterator does), cuts those into batches and uses all its full batches in random order. A pure
    function of `seed` and epoch.

    Args:
        lengths: steps of each example.
        batch_size: examples of a batch; an epoch's last one may have fewer, so that trials with other seeds
            have batches of the same size at the same time.
        seed: decides the order.
    """
    steps = torch.as_tensor(lengths)

    def order(epoch: int) -> Sequence[Sequence[int]]:
        draw = generator(seed, epoch)
        batches: list[Sequence[int]] = []
        for pool in torch.randperm(len(steps), generator=draw).split(POOL * batch_size):
            batches += in_batches(pool[steps[pool].argsort(stable=True)].tolist(), batch_size)
        full = len(steps) // batch_size
        turns = torch.randperm(full, generator=draw).tolist()
        return [batches[turn] for turn in turns] + batches[full:]

    return order
