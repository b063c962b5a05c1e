"""Trains several `lit-seq fit` command lines at once."""

import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lit_seq.checkpoint_file import go_on_from
from lit_seq.cli import DONE, FAILED, INTERRUPTED, WRONG_INPUT, main
from lit_seq.errors import UserError
from lit_seq.packing.checkpoints import PackCheckpoints, combine
from lit_seq.packing.function import Unpackable
from lit_seq.packing.leaving import AllDropped
from lit_seq.packing.memory import TooLarge
from lit_seq.packing.pack import Pack
from lit_seq.packing.progress import PackProgress
from lit_seq.packing.trial import PackedTrial
from lit_seq.training.checkpoints import Interrupted
from lit_seq.training.interruption import Interruption
from lit_seq.training.recording import disk_errors
from lit_seq.training.run import quiet, with_own_config

Logging = Callable[[int], AbstractContextManager[Any]]
"""Trial to a context in which what is printed goes to its log."""


def run_pack(
    commands: Sequence[Sequence[str]], logging: Logging | None = None, stacked: bool = False
) -> list[int]:
    """Train `lit-seq fit` command lines as one pack, or each alone where they cannot be stacked.

    On a CPU a trial has the same numbers, bit for bit, in a stack of any size. Those that it has alone differ
    in the last bits: so a trial that began alone goes on alone, and one that began in a stack in a stack.

    A trial whose command line is wrong fails alone. When training fails for another reason than
    divergence, such as memory, the pack goes on in two halves from the last checkpoints, and at last alone.

    Args:
        commands: each trial's command line behind `lit-seq`.
        logging: where each trial's output goes.
        stacked: train a single trial as a stack, too.

    Returns:
        Each trial's exit code; see `lit_seq.cli.main`.
    """
    logging = logging or (lambda index: nullcontext())
    codes = dict.fromkeys(range(len(commands)), FAILED)
    if len(commands) == 1 and not stacked:
        with logging(0):
            return [main(commands[0])]
    trials: dict[int, PackedTrial] = {}
    with quiet():
        for index, command in enumerate(commands):
            with logging(index):
                try:
                    trials[index] = PackedTrial(with_own_config(command), partial(logging, index))
                except UserError as error:
                    print(f"lit-seq: {error}", file=sys.stderr)
                    codes[index] = WRONG_INPUT
    for group in _in_step(trials):
        again: list[list[int]] = []
        with quiet(), logging(group[0]):
            try:
                if _began_alone(trials[group[0]]):
                    raise Unpackable("they began so")
                codes.update(zip(group, _train([trials[index] for index in group]), strict=True))
            except Unpackable as reason:
                print(f"These trials run one by one: {reason}.", file=sys.stderr)
                again = [[index] for index in group]
            except TooLarge as pack:
                print(f"Of this pack of {len(group)}, {pack}: it trains in parts.", file=sys.stderr)
                again = [group[at : at + pack.fits] for at in range(0, len(group), pack.fits)]
            except _Failed as failure:
                ended = {index: _code(trials[index]) for index in group}
                codes.update(ended)
                left = [index for index, code in ended.items() if code == INTERRUPTED]
                half = (len(left) + 1) // 2
                again = [left[:half], left[half:]]
                print(f"The pack of {len(left)} failed ({failure}); it goes on in parts.", file=sys.stderr)
            finally:
                for index in group:
                    trials[index].join()
        for part in again:
            commands_of_part = [_resumed(commands[index], trials[index].folder) for index in part]
            codes.update(zip(part, run_pack(commands_of_part, _Part(logging, part)), strict=True))
    return [codes[index] for index in range(len(commands))]


class _Part:
    """The logging of some of the trials."""

    def __init__(self, logging: Logging, part: list[int]) -> None:
        self._logging, self._part = logging, part

    def __call__(self, index: int) -> AbstractContextManager[Any]:
        return self._logging(self._part[index])


class _Failed(Exception):
    """A pack's training failed."""


def _in_step(trials: dict[int, PackedTrial]) -> list[list[int]]:
    """Group trials that stand at the same step, and came there alone or in a stack."""
    groups: dict[Any, list[int]] = {}
    for index, trial in trials.items():
        step = trial.checkpoint and trial.checkpoint["global_step"]
        groups.setdefault((step, _began_alone(trial)), []).append(index)
    return list(groups.values())


def _began_alone(trial: PackedTrial) -> bool:
    return trial.checkpoint is not None and not trial.checkpoint.get("stacked")


def _resumed(command: Sequence[str], folder: Path) -> list[str]:
    begun = (folder / "config.yaml").exists() and "--ckpt_path" not in command
    return [*command, *(["--ckpt_path", "last"] if begun else [])]


def _train(trials: list[PackedTrial]) -> list[int]:
    """Train trials as a pack and return their exit codes."""
    pack = Pack(trials)
    checkpoints = PackCheckpoints(pack)
    try:
        trainer = _trainer(trials[0], [PackProgress(pack, checkpoints), checkpoints])
    except (MisconfigurationException, TypeError, ValueError) as error:
        # Alone, each says so.
        raise Unpackable(f"there is no such trainer ({' '.join(str(error).split()).rstrip('.')})") from error
    print(f"A pack of {len(trials)} trials of {type(trials[0].model).__name__}", file=sys.stderr)
    try:
        with (
            Interruption(checkpoints),
            disk_errors(trials[0].folder),
            tempfile.TemporaryDirectory() as scratch,
        ):
            for trial in trials:
                trial.recording.record.status.pack = len(trials)
                trial.recording.begin()
                go_on_from(trial.folder, trial.options.ckpt_path)
                with trial.printing():
                    print(f"{type(trial.model).__name__}, in a pack of {len(trials)} trials", file=sys.stderr)
            start = None
            if trials[0].checkpoint is not None:
                start = Path(scratch) / "pack.ckpt"
                whole = combine([t.checkpoint for t in trials if t.checkpoint], *pack.stacked.names)
                torch.save(whole, start)
            trainer.fit(pack, ckpt_path=start, weights_only=trials[0].weights_only)
    except AllDropped:
        pass
    except Interrupted as interruption:
        for trial in pack.trials:
            trial.finish("running", str(interruption), preempted=True)
        return [_code(trial) for trial in trials]
    except (TooLarge, Unpackable) as obstacle:
        for trial in pack.trials:
            trial.finish("running", f"it goes on outside of a pack of {len(trials)}: {obstacle}")
        raise
    except UserError as error:
        for trial in pack.trials:
            trial.finish("failed", str(error))
        raise
    except BaseException as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:1000]
        for trial in pack.trials:
            trial.finish("running", reason)
        raise _Failed(reason) from error
    for trial in pack.trials:
        trial.finish(*trial.recording.record.end(trainer))
    return [_code(trial) for trial in trials]


def _code(trial: PackedTrial) -> int:
    """Return the exit code of a trial that left its pack, or whose pack has ended."""
    state = trial.recording.record.status.state
    return {"finished": DONE, "stopped": DONE, "running": INTERRUPTED}.get(state, FAILED)


def _trainer(trial: PackedTrial, callbacks: list[L.Callback]) -> L.Trainer:
    return L.Trainer(
        **{
            **trial.trainer_arguments(),
            "logger": False,
            "callbacks": callbacks,
            "gradient_clip_val": None,
            "gradient_clip_algorithm": None,
            "enable_progress_bar": False,
            "default_root_dir": trial.folder,
        }
    )
