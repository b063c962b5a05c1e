"""`lit-seq fit`, `validate`, `test` and `predict`: a run in its folder."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lit_seq.checkpoint_file import class_path, go_on_from, newest_good, read_checkpoint
from lit_seq.configuration import CommandLine, dumped
from lit_seq.errors import UserError
from lit_seq.processes import rank
from lit_seq.run_folder import State
from lit_seq.training.checkpoints import Interrupted, Stopped
from lit_seq.training.interruption import Interruption
from lit_seq.training.launch import Failed, Processes
from lit_seq.training.metrics_file import MetricsFile
from lit_seq.training.predictions import PredictionsFile
from lit_seq.training.progress import RunProgress
from lit_seq.training.record import Diverged
from lit_seq.training.recording import Recording, disk_errors
from lit_seq.training.together import check_processes, in_one_process, is_one_process
from lit_seq.training.wandb_artifacts import PREFIX, with_artifact

NAMED = ("last", "best")
"""Checkpoints that `--ckpt_path` takes by name, from the run's own folder."""


class Run(CommandLine):
    """Runs one subcommand of LightningCLI in a run folder, with its metrics, status, checkpoints and W&B run.

    Args:
        arguments: the command line behind `lit-seq`.

    Raises:
        UserError: wrong input.
        Interrupted: asked to stop; resumable.
        Diverged: the loss is no longer a number.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        super().__init__(arguments)

    def before_instantiate_classes(self) -> None:
        """Find the folder and the checkpoint, and refuse what would overwrite or mix runs."""
        options = self.config[self.subcommand]
        if self.subcommand != "fit":
            in_one_process(options.trainer)
        if is_one_process(options.trainer):
            # SLURM numbers processes that have nothing to do with each other, too.
            setattr(rank_zero_only, "rank", 0)  # noqa: B010  it is declared as a function
        named, trusted = options.ckpt_path in NAMED, options.weights_only is False
        if named and not options.name:
            raise UserError(
                f"--ckpt_path {options.ckpt_path} needs --name, the run whose checkpoint is meant."
            )
        self.checkpoint: dict[str, Any] | None = None
        # W&B's agents start several runs in a second, each with an id of its own.
        name = options.name or os.environ.get("WANDB_RUN_ID") or f"{datetime.now():%Y-%m-%d-%H-%M-%S}"
        self.folder = Path(options.runs_dir) / name
        path = self.folder / "checkpoints" / f"{options.ckpt_path}.ckpt" if named else options.ckpt_path
        begun = (self.folder / "config.yaml").exists()
        if begun and not path and not options.name and os.environ.get("WANDB_SWEEP_ID"):
            # W&B's agent was given a run again that was preempted, and says so by its id alone.
            named, options.ckpt_path = True, "last"
            path = self.folder / "checkpoints" / "last.ckpt"
        if self.subcommand == "fit":
            if begun and path is None and rank() == 0:
                raise UserError(
                    f"{self.folder} holds a run already; go on with it by --ckpt_path last, "
                    "or give another --name."
                )
            if named and not begun:
                raise UserError(f"There is no run to go on with in {self.folder}.")
            if options.ckpt_path == "last":
                path, self.checkpoint = newest_good(self.folder, trusted) or (None, None)
                if path is None and rank() == 0:
                    print(f"{self.folder} has no good checkpoint: it starts anew.", file=sys.stderr)
        elif path is None:
            raise UserError(
                f"lit-seq {self.subcommand} needs --ckpt_path: a file, or best or last with --name."
            )
        elif not named:
            self.folder = Path(path).parent.parent
        if path is not None and self.checkpoint is None:
            self.checkpoint = read_checkpoint(Path(path), trusted)
        options.ckpt_path = None if path is None else str(path)
        if isinstance(own := options.trainer.callbacks, list):
            # A command that is given again adds to what the run's configuration has from it already.
            options.trainer.callbacks = [one for at, one in enumerate(own) if one not in own[:at]]

    def instantiate_classes(self) -> None:
        """Build data, model and trainer."""
        try:
            super().instantiate_classes()
        except (UserError, ValueError, MisconfigurationException) as error:
            raise UserError(" ".join(str(_origin(error)).split())) from error
        if self.checkpoint is not None:
            self._check_model()

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Give the trainer our loggers and callbacks besides the user's."""
        options = self.config[self.subcommand]
        loggers: list[Logger] = []
        callbacks: list[L.Callback] = []
        if self.subcommand == "fit":
            self.recording = self._record()
            loggers, callbacks = self.recording.loggers, self.recording.callbacks
            if options.trainer.enable_progress_bar is not False:
                callbacks = [*callbacks, RunProgress()]
        elif self.subcommand == "predict":
            callbacks = [PredictionsFile(self.folder / "predictions.jsonl")]
        else:
            loggers = [MetricsFile(self.folder, resume_after=sys.maxsize)]
        trainer = self._get(self.config_init, "trainer")
        own = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
        loggers = [*loggers, *(logger for logger in own if isinstance(logger, Logger))]
        root = trainer.default_root_dir or self.folder
        trainer = {**trainer, "logger": loggers, "default_root_dir": root, **kwargs}
        made = self._instantiate_trainer(trainer, callbacks)
        goes_on = self.checkpoint if self.subcommand == "fit" else None
        check_processes(made, self.model, self.datamodule, goes_on)
        return made

    def fit(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Train, and leave the reason behind if it does not come to its end."""
        recording = self.recording
        processes = Processes(
            self.trainer, self._arguments, lambda reason: recording.finish("failed", reason)
        )
        # What Lightning does at a signal besides what we do gets in the way of other processes.
        self.trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        parameters = sum(parameter.numel() for parameter in model.parameters())
        count = f", {self.trainer.world_size} processes" if self.trainer.world_size > 1 else ""
        if self.trainer.is_global_zero:
            kind = type(model).__name__
            print(f"{kind}, {parameters:,} parameters{count}, in {self.folder}", file=sys.stderr)
        state: State = "failed"
        reason = None
        try:
            with disk_errors(self.folder), Interruption(recording.checkpoints):
                recording.begin()
                path = go_on_from(self.folder, kwargs["ckpt_path"])
                with processes:
                    self.trainer.fit(
                        model, **{**kwargs, "ckpt_path": path, "weights_only": self.weights_only}
                    )
            state, reason = recording.record.end(self.trainer)
        except Stopped as end:
            state, reason = "stopped", str(end)
            recording.record.status.step = self.trainer.global_step
        except Interrupted as interruption:
            state, reason = "running", str(interruption)
            if recording.wandb_run is None or not recording.wandb_run.stopped_by_agent():
                raise
            state, reason = "stopped", "stopped by the W&B sweep"
        except Diverged as divergence:
            state, reason = "diverged", str(divergence)
            raise
        except Failed as failure:
            reason = str(failure)
            raise
        except BaseException as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:1000]
            raise
        finally:
            if self.trainer.is_global_zero and (self.folder / "config.yaml").exists():
                recording.finish(state, reason, preempted=state == "running")
                recording.join()

    def validate(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Evaluate the checkpoint on the validation data."""
        self.trainer.validate(model, **{**kwargs, "weights_only": self.weights_only})

    def test(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Evaluate the checkpoint on the test data."""
        self.trainer.test(model, **{**kwargs, "weights_only": self.weights_only})

    def predict(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Write predictions.jsonl."""
        kwargs.pop("return_predictions", None)
        self.trainer.predict(model, return_predictions=False, **{**kwargs, "weights_only": self.weights_only})
        print(f"Predictions are in {self.folder / 'predictions.jsonl'}")

    @property
    def weights_only(self) -> bool:
        """Whether checkpoints may hold no more than data."""
        return self.config[self.subcommand].weights_only is not False

    def _record(self) -> Recording:
        options = self.config_init[self.subcommand]
        return Recording(
            self.folder,
            self._plain_config(),
            options.seed_everything,
            options.wandb,
            options.checkpoint,
            options.hyperband,
            None if self.checkpoint is None else self.checkpoint["global_step"] - 1,
        )

    def _plain_config(self) -> dict[str, Any]:
        config = dumped(self._parser(self.subcommand), self.config[self.subcommand])
        return {
            key: value for key, value in config.items() if key not in ("config", "ckpt_path", "weights_only")
        }

    def _check_model(self) -> None:
        assert self.checkpoint is not None
        path = self.config[self.subcommand].ckpt_path
        theirs, ours = (
            class_path(self.checkpoint),
            f"{type(self.model).__module__}.{type(self.model).__qualname__}",
        )
        if theirs and theirs != ours:
            names = [one.rpartition(".")[2] for one in (theirs, ours)]
            raise UserError(f"The checkpoint {path} is of a {names[0]}, but --model is {names[1]}.")
        task = self.checkpoint.get("hyper_parameters", {}).get("task")
        own = self.model.hparams.get("task") if theirs else None
        texts = ("vocabulary", "target_vocabulary")
        if task and own and any(task[text] != own[text] for text in texts):
            raise UserError(f"The checkpoint {path} was trained with another vocabulary than this data has.")
        state = self.model.state_dict()
        for name, tensor in self.checkpoint["state_dict"].items():
            shape = list(state[name].shape) if name in state else "missing"
            if shape != list(tensor.shape):
                raise UserError(
                    f"The checkpoint {path} does not fit the model: {name} is {list(tensor.shape)} there and "
                    f"{shape} here; give the options that it was trained with."
                )
        # Lightning restores weights before it sets the precision, and would round those of a float64 run.
        if torch.float64 in {tensor.dtype for tensor in self.checkpoint["state_dict"].values()}:
            self.model.double()


def run(arguments: Sequence[str]) -> None:
    """Run `lit-seq fit`, `validate`, `test` or `predict`; see `Run` for what it raises."""
    with quiet():
        Run(with_own_config(arguments))


def with_own_config(arguments: Sequence[str]) -> list[str]:
    """Let a command that names a run's checkpoint start from that run's configuration."""
    given = {}
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        key, equals, value = word.partition("=")
        given[key] = value if equals else following
    if given.get("--ckpt_path", "").startswith(PREFIX):
        return with_own_config(with_artifact(arguments, given))
    checkpoint = given.get("--ckpt_path")
    if checkpoint in NAMED and given.get("--name"):
        folder = Path(given.get("--runs_dir", "runs")) / given["--name"]
    elif checkpoint and arguments[0] != "fit":
        folder = Path(checkpoint).parent.parent
    else:
        return list(arguments)
    config = folder / "config.yaml"
    return [arguments[0], f"--config={config}", *arguments[1:]] if config.is_file() else list(arguments)


def _origin(error: BaseException) -> BaseException:
    """Return what was raised first: the parser wraps exceptions of the classes that it builds."""
    while not isinstance(error, UserError) and (inner := error.__cause__ or error.__context__):
        error = inner
    return error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Lightning says about itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
