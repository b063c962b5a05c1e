"""`lit-seq fit`, `validate`, `test` and `predict`: a run in its folder."""

import logging
import os
import secrets
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lit_seq.checkpoint_file import class_path, read_checkpoint
from lit_seq.configuration import CommandLine
from lit_seq.errors import UserError
from lit_seq.run_folder import Status, replacing
from lit_seq.training.checkpoints import Checkpoints, Interrupted
from lit_seq.training.interruption import Interruption
from lit_seq.training.metrics_file import MetricsFile
from lit_seq.training.predictions import PredictionsFile
from lit_seq.training.progress import RunProgress
from lit_seq.training.record import Diverged, Record
from lit_seq.training.samples import TextSamples
from lit_seq.training.wandb_run import WandbRun

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

    def before_instantiate_classes(self) -> None:
        """Find the folder and the checkpoint, and refuse what would overwrite or mix runs."""
        options = self.config[self.subcommand]
        named = options.ckpt_path in NAMED
        if named and not options.name:
            raise UserError(
                f"--ckpt_path {options.ckpt_path} needs --name, the run whose checkpoint is meant."
            )
        self.checkpoint: dict[str, Any] | None = None
        self.folder = Path(options.runs_dir) / (options.name or f"{datetime.now():%Y-%m-%d-%H-%M-%S}")
        path = self.folder / "checkpoints" / f"{options.ckpt_path}.ckpt" if named else options.ckpt_path
        begun = (self.folder / "config.yaml").exists()
        if self.subcommand == "fit":
            if begun and path is None:
                raise UserError(
                    f"{self.folder} holds a run already; go on with it by --ckpt_path last, or give another --name."
                )
            if named and not begun:
                raise UserError(f"There is no run to go on with in {self.folder}.")
            if options.ckpt_path == "last" and not Path(path).exists():
                print(f"{self.folder} has no checkpoint yet: starting from its beginning.", file=sys.stderr)
                path = None
        elif path is None:
            raise UserError(
                f"lit-seq {self.subcommand} needs --ckpt_path: a file, or best or last with --name."
            )
        elif not named:
            self.folder = Path(path).parent.parent
        if path is not None:
            self.checkpoint = read_checkpoint(Path(path))
        options.ckpt_path = None if path is None else str(path)

    def instantiate_classes(self) -> None:
        """Build data, model and trainer."""
        try:
            super().instantiate_classes()
        except (ValueError, MisconfigurationException) as error:
            raise UserError(" ".join(str(error).split())) from error
        if self.checkpoint is not None:
            self._check_model()

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Give the trainer our loggers and callbacks besides the user's."""
        options = self.config[self.subcommand]
        resume_after = None
        if self.checkpoint is not None:
            resume_after = self.checkpoint["global_step"] - 1 if self.subcommand == "fit" else sys.maxsize
        self.metrics = MetricsFile(self.folder, resume_after)
        self.wandb_run: WandbRun | None = None
        callbacks: list[L.Callback] = []
        if self.subcommand == "fit":
            exists = (self.folder / "status.json").exists()
            status = Status.read(self.folder) if exists else Status()
            status.seed = options.seed_everything
            status.wandb_run_id = (
                status.wandb_run_id or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
            )
            if options.wandb.mode != "disabled":
                settings = self.config_init[self.subcommand].wandb
                config = {**self._plain_config(), **status.overrides}
                self.wandb_run = WandbRun(self.folder, settings, status.wandb_run_id, config)
            self.record = Record(self.folder, status, self.metrics)
            policy = self.config_init[self.subcommand].checkpoint
            self.checkpoints = Checkpoints(self.folder, policy, self.metrics)
            callbacks = [self.record, TextSamples(self.folder, self.wandb_run), self.checkpoints]
        if self.subcommand == "predict":
            callbacks = [PredictionsFile(self.folder / "predictions.jsonl")]
        if options.trainer.enable_progress_bar is not False and self.subcommand == "fit":
            callbacks.append(RunProgress())
        trainer = self._get(self.config_init, "trainer")
        own = trainer.get("logger")
        loggers = [self.metrics, *([self.wandb_run] if self.wandb_run else [])]
        loggers += (
            own if isinstance(own, list) else [own] if isinstance(own, L.pytorch.loggers.Logger) else []
        )
        trainer = {
            **trainer,
            "logger": loggers,
            "default_root_dir": trainer.default_root_dir or self.folder,
            **kwargs,
        }
        return self._instantiate_trainer(trainer, callbacks)

    def fit(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Train, and leave the reason behind if it does not come to its end."""
        with _disk_errors(self.folder):
            if not (self.folder / "config.yaml").exists():
                with replacing(self.folder / "config.yaml") as file:
                    yaml.safe_dump(self._plain_config(), file, sort_keys=False)
            self.record.write("running")
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(f"{type(model).__name__}, {parameters:,} parameters, in {self.folder}", file=sys.stderr)
        state, reason = "failed", None
        try:
            with _disk_errors(self.folder), Interruption(self.checkpoints):
                if self.wandb_run:
                    _ = self.wandb_run.experiment
                self.trainer.fit(model, **{**kwargs, "weights_only": True})
            if self.trainer.should_stop and self.record.status.step != self.record.status.max_steps:
                state, reason = "stopped", f"stopped early at step {self.record.status.step}"
            else:
                state = "finished"
        except Interrupted as interruption:
            state, reason = "running", str(interruption)
            raise
        except Diverged as divergence:
            state, reason = "diverged", str(divergence)
            raise
        except BaseException as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:1000]
            raise
        finally:
            self._finish(state, reason)

    def validate(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Evaluate the checkpoint on the validation data."""
        self.trainer.validate(model, **{**kwargs, "weights_only": True})

    def test(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Evaluate the checkpoint on the test data."""
        self.trainer.test(model, **{**kwargs, "weights_only": True})

    def predict(self, model: L.LightningModule, **kwargs: Any) -> None:
        """Write predictions.jsonl."""
        kwargs.pop("return_predictions", None)
        self.trainer.predict(model, return_predictions=False, **{**kwargs, "weights_only": True})
        print(f"Predictions are in {self.folder / 'predictions.jsonl'}")

    def _finish(self, state: Any, reason: str | None) -> None:
        with _disk_errors(self.folder):
            self.metrics.flush()
            self.record.write(state, reason=reason)
        if self.wandb_run:
            self.wandb_run.exit_code = 0 if state in ("finished", "stopped") else 1
            self.wandb_run.close()
        value = self.metrics.latest.get(self.checkpoints.policy.monitor)
        figure = "" if value is None else f", {self.checkpoints.policy.monitor} {value:.4g}"
        print(f"{state}{f' ({reason})' if reason else ''}{figure}: {self.folder}", file=sys.stderr)

    def _plain_config(self) -> dict[str, Any]:
        dumped = self._parser(self.subcommand).dump(self.config[self.subcommand], skip_none=False)
        config = yaml.safe_load(dumped)
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
        if task and own and task["vocabulary"] != own["vocabulary"]:
            raise UserError(f"The checkpoint {path} was trained with another vocabulary than this data has.")
        state = self.model.state_dict()
        for name, tensor in self.checkpoint["state_dict"].items():
            shape = list(state[name].shape) if name in state else "missing"
            if shape != list(tensor.shape):
                raise UserError(
                    f"The checkpoint {path} does not fit the model: {name} is {list(tensor.shape)} there and "
                    f"{shape} here; give the options that it was trained with."
                )


def run(arguments: Sequence[str]) -> None:
    """Run `lit-seq fit`, `validate`, `test` or `predict`; see `Run` for what it raises."""
    with _quiet():
        Run(_with_own_config(arguments))


def _with_own_config(arguments: Sequence[str]) -> list[str]:
    """Let a command that names a run's checkpoint start from that run's configuration."""
    given = {}
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        key, equals, value = word.partition("=")
        given[key] = value if equals else following
    checkpoint = given.get("--ckpt_path")
    if checkpoint in NAMED and given.get("--name"):
        folder = Path(given.get("--runs_dir", "runs")) / given["--name"]
    elif checkpoint and arguments[0] != "fit":
        folder = Path(checkpoint).parent.parent
    else:
        return list(arguments)
    config = folder / "config.yaml"
    return [arguments[0], f"--config={config}", *arguments[1:]] if config.is_file() else list(arguments)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Say in one sentence that the disk is full or the folder cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename is None and error.strerror is None):
            raise
        raise UserError(f"{error.filename or folder} cannot be written or read: {error.strerror}.") from error


@contextmanager
def _quiet() -> Iterator[None]:
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
