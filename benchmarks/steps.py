"""When the steps of a training begin."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from unittest.mock import patch

import lightning as L

from lit_seq.packing.pack import Pack
from lit_seq.packing.run import run_pack

Moment = TypeVar("Moment")


def starts(
    commands: Sequence[Sequence[str]], now: Callable[[], Moment], module: type[L.LightningModule] = Pack
) -> list[Moment]:
    """Train trials, as a pack if they are several, and return what the clock says as each step begins.

    Args:
        commands: each trial's command line behind `lit-seq`.
        now: the clock.
        module: what trains: the pack, or the model of a single trial.
    """
    found: list[Moment] = []
    original = module.training_step

    def training_step(self: Any, *batch: Any) -> Any:
        found.append(now())
        return original(self, *batch)

    with patch.object(module, "training_step", training_step):
        codes = run_pack(commands)
    if any(codes):
        sys.exit(f"{commands[0]} and others: not all trials finished: {codes}")
    return found
