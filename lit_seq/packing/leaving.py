"""How trials leave a pack."""

from collections.abc import Mapping

import lightning as L
import torch

from lit_seq.packing.pack import Pack
from lit_seq.packing.trial import PackedTrial
from lit_seq.run_folder import State

End = tuple[State, str | None]
"""How a trial ended, and why."""


class AllDropped(Exception):
    """No trial of the pack is left to train."""


def let_go(pack: Pack, trainer: L.Trainer, ends: Mapping[PackedTrial, End]) -> None:
    """Finish trials between two steps, and go on without them.

    Args:
        pack: the pack.
        trainer: the pack's.
        ends: the trials that leave, and how they ended.

    Raises:
        AllDropped: none is left.
    """
    for trial, (state, reason) in ends.items():
        trial.recording.record.status.step = trainer.global_step
        trial.finish(state, reason)
    leaving = [row for row, trial in enumerate(pack.trials) if trial in ends]
    if len(leaving) == len(pack.trials):
        pack.trials = []
        raise AllDropped
    # What is stacked anew in the middle of a validation is trained on.
    with torch.inference_mode(False):
        pack.drop(leaving)
