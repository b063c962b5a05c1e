"""Loss and metrics of targets that are several bits at once."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.data.batch import IGNORED

BIT_METRICS = ("steps_right", "sequences_right", "bits_per_sequence")
"""What bits have beside the loss and accuracy that classes have."""


def compare_bits(outputs: Tensor, targets: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Compare log odds with bits; every sequence counts alike, however long it is.

    Bit i is held to be 1 with probability σ(y_i), and the loss is -ln of the probability of what the targets
    say, a bit on average (Graves, Wayne and Danihelka 2014, section 4, where it is a sum).

    Args:
        outputs: y, (time, batch, bits) or (batch, bits).
        targets: of the same shape, 0 or 1, or `IGNORED` where nothing counts.

    Returns:
        loss: cross-entropy in nats a bit.
        accuracy: part of a sequence's bits that are right, at a threshold of 1/2.
        steps_right: part of a sequence's steps of which all bits are right.
        sequences_right: part of the sequences of which all bits are right.
        bits_per_sequence: cross-entropy in bits, summed over a sequence.

        Each is a mean over sequences, and the second result is how many were counted.
    """
    counted = targets != IGNORED
    errors = functional.binary_cross_entropy_with_logits(
        outputs, targets.clamp(min=0).to(outputs.dtype), reduction="none"
    )
    errors = _sum_by_sequence(errors * counted)
    with torch.no_grad():
        wrong = ((outputs > 0) != (targets > 0)) & counted
        wrong_bits, bits = _sum_by_sequence(wrong), _sum_by_sequence(counted)
        wrong_steps, steps = (_sum_by_sequence(of.any(-1, keepdim=True)) for of in (wrong, counted))
    present = bits > 0
    sequences = present.sum()

    def mean(of_sequence: Tensor) -> Tensor:
        return (of_sequence * present).sum() / sequences

    means = {
        "loss": mean(errors / bits.clamp(min=1)),
        "accuracy": mean(1 - wrong_bits / bits.clamp(min=1)),
        "steps_right": mean(1 - wrong_steps / steps.clamp(min=1)),
        "sequences_right": mean(wrong_bits == 0),
        "bits_per_sequence": mean(errors.detach()) / math.log(2),
    }
    return means, sequences


def _sum_by_sequence(values: Tensor) -> Tensor:
    """Return the sums, (batch,), of (time, batch, bits) or (batch, bits)."""
    return values.transpose(-2, 0).flatten(1).sum(1)
