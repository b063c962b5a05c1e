"""Macro F1 of classes, over a whole epoch."""

import torch
from torch import Tensor

from lit_seq.data.batch import IGNORED


@torch.no_grad()
def class_shares(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return what `macro_f1` needs to know of a batch, each a mean over the targets that count, (classes,).

    Args:
        outputs: (…, classes).
        targets: (…) int64, `IGNORED` where nothing counts.

    Returns:
        share_of_hits: part of the targets that are this class and are found.
        share_of_answers: part of the answers that are this class.
        share_of_targets: part of the targets that are this class.
    """
    answers, wanted = outputs.argmax(-1).flatten(), targets.flatten()
    counted = wanted != IGNORED
    number = counted.sum()

    def share(classes: Tensor, which: Tensor) -> Tensor:
        zeros = torch.zeros(outputs.shape[-1], dtype=torch.float64, device=outputs.device)
        return zeros.scatter_add(0, classes.clamp(min=0), which.double()) / number

    return {
        "share_of_hits": share(wanted, counted & (answers == wanted)),
        "share_of_answers": share(answers, counted),
        "share_of_targets": share(wanted, counted),
    }


def macro_f1(means: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean over classes of F1 = 2·hits / (answers + targets), where the means tell.

    Classes that are neither among the targets nor among the answers do not count, as in scikit-learn.

    Args:
        means: what `class_shares` gives, over an epoch; (…, classes).
    """
    if "share_of_hits" not in means:
        return {}
    both = means["share_of_answers"] + means["share_of_targets"]
    present = both > 0
    f1 = torch.where(present, 2 * means["share_of_hits"] / both, 0.0)
    return {"macro_f1": f1.sum(-1) / present.sum(-1)}
