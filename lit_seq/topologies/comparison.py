"""What a model says beside what is right: loss and metrics, and plain data that a person can read."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.data.batch import IGNORED
from lit_seq.data.task import Task
from lit_seq.topologies.bits import BIT_METRICS, compare_bits
from lit_seq.topologies.f1 import class_shares, macro_f1
from lit_seq.topologies.values import VALUE_METRICS, compare_values, nrmse

METRICS = ("loss", "accuracy", "macro_f1", *BIT_METRICS, *VALUE_METRICS)
"""Names of what `compare` and `derived` give."""


def compare(
    task: Task,
    outputs: Tensor,
    targets: Tensor,
    lengths: Tensor | None = None,
    whole_epoch: bool = False,
) -> tuple[dict[str, Tensor], Tensor]:
    """Compare outputs with targets.

    Args:
        task: what the targets are.
        outputs: (…, target_size).
        targets: (…) int64, `IGNORED` where nothing counts; or (…, target_size) values or bits.
        lengths: steps that count of (time, batch, target_size) values, (batch,) int64; None when all do.
        whole_epoch: whether to add what the macro F1 of an epoch needs, where classes have names.

    Returns:
        Cross-entropy in nats and accuracy of classes, or mean squared error of values, and how many targets
        were counted; of values `lit_seq.topologies.values.compare_values` says more, of bits
        `lit_seq.topologies.bits.compare_bits`.
    """
    match task.targets:
        case "bits":
            return compare_bits(outputs, targets)
        case "values":
            return compare_values(outputs, targets, lengths)
        case "classes":
            counted = targets != IGNORED
            loss = functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), ignore_index=IGNORED)
            with torch.no_grad():
                correct = ((outputs.argmax(-1) == targets) & counted).sum() / counted.sum()
            shares = class_shares(outputs, targets) if whole_epoch and task.labels else {}
            return {"loss": loss, "accuracy": correct, **shares}, counted.sum()


def derived(means: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the metrics that are functions of what `compare` gives over a whole epoch."""
    return nrmse(means) | macro_f1(means)


def answer_rows(task: Task, outputs: Tensor, targets: Tensor) -> list[dict[str, Any]]:
    """Return one class with its probability, or values or bits, for each input, beside its target.

    Args:
        task: what the targets are.
        outputs: (batch, target_size).
        targets: (batch,) classes, (batch, target_size) values or bits.
    """
    if task.targets != "classes":
        outputs = (outputs > 0).long() if task.targets == "bits" else outputs
        return [
            {"prediction": prediction, "target": target}
            for prediction, target in zip(outputs.tolist(), targets.tolist(), strict=True)
        ]
    probabilities, classes = torch.softmax(outputs, -1).max(-1)
    names = task.labels or range(task.target_size)
    return [
        {
            "prediction": names[predicted],
            "probability": probability,
            "target": None if target == IGNORED else names[target],
        }
        for predicted, probability, target in zip(
            classes.tolist(), probabilities.tolist(), targets.tolist(), strict=True
        )
    ]
