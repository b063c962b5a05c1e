"""The one parser for all configurations: LightningCLI with lit-seq's own keys."""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from jsonargparse import ArgumentError, Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.model_helpers import is_overridden

# Importing a class is what lets the parser find it by its short name.
import lit_seq.cells
import lit_seq.cores
import lit_seq.data
import lit_seq.diagnostics
import lit_seq.topologies
from lit_seq.errors import UserError
from lit_seq.explanation import explain
from lit_seq.training.checkpoints import CheckpointPolicy
from lit_seq.training.hyperband import Hyperband
from lit_seq.training.wandb_run import Wandb

SUBCOMMANDS = ("fit", "validate", "test", "predict")

PARSER = {"exit_on_error": False, "allow_abbrev": False}

TRAINER_DEFAULTS = {
    "num_sanity_val_steps": 0,
    "devices": 1,
    "enable_model_summary": False,
    "log_every_n_steps": 10,
}


class CommandLine(LightningCLI):
    """LightningCLI over any topology and any data, with the keys of a run folder and of W&B.

    Args:
        arguments: the command line behind `lit-seq`.

    Raises:
        UserError: the command line is wrong.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(
            L.LightningModule,
            L.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_kwargs={**PARSER, **dict.fromkeys(SUBCOMMANDS, PARSER)},
            load_from_checkpoint_support=False,
            args=list(arguments),
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add lit-seq's keys, and size the model from the data."""
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of the run folders.")
        parser.add_argument(
            "--name", type=str, default="", help="Name of the run's folder (default: the time)."
        )
        parser.add_class_arguments(Wandb, "wandb")
        parser.add_class_arguments(CheckpointPolicy, "checkpoint")
        parser.add_argument(
            "--hyperband", type=Hyperband | None, default=None, help="See a sweep file's early_terminate."
        )
        parser.link_arguments(
            "data", "model.init_args.task", lambda data: getattr(data, "task", None), apply_on="instantiate"
        )
        parser.add_optimizer_args((torch.optim.Optimizer,))
        parser.set_defaults({"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and say in one sentence what is wrong."""
        arguments = _classes_first(list(_unfolded(args)))
        try:
            self.config = parser.parse_args(arguments)
        except ArgumentError as error:
            raise UserError(explain(str(error), self._options())) from None
        _check_ranges(self.config[self.config.subcommand])

    def _options(self) -> Iterator[str]:
        for parser in self._subcommand_parsers.values():
            yield from parser._option_string_actions

    def _add_configure_optimizers_method_to_model(self, subcommand: str | None) -> None:
        """Leave a module its own optimiser, unless another than the default was asked for."""
        asked = self._get(self.config, "optimizer")
        default = self._parser(subcommand).get_defaults().optimizer
        if is_overridden("configure_optimizers", self.model) and asked == default:
            return
        super()._add_configure_optimizers_method_to_model(subcommand)

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration as given: a checkpoint is checked against it, not merged into it."""


class _Parsing(CommandLine):
    """Stops after parsing."""

    def _set_seed(self) -> None:
        pass

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass


@cache
def _parsing() -> _Parsing:
    return _Parsing(["fit", "--model", "LanguageModel", "--data", "Shakespeare"])


def parse(arguments: Sequence[str]) -> Namespace:
    """Parse a command line such as `["fit", "--model", …]` without building anything.

    Returns:
        The subcommand's configuration.

    Raises:
        UserError: the command line is wrong.
    """
    line = _parsing()
    line.parse_arguments(line.parser, arguments)
    return line.config[line.config.subcommand]


def plain(config: Namespace) -> dict[str, Any]:
    """Return a subcommand's configuration as plain data."""
    return dumped(_parsing()._subcommand_parsers["fit"], config)


def dumped(parser: LightningArgumentParser, config: Namespace) -> dict[str, Any]:
    """Return what `parser` has made of a command line as plain data."""
    return json.loads(parser.dump(config, format="json", skip_none=False, skip_validation=True))


def check_metric(config: Namespace, name: str, where: str) -> None:
    """Check that a run of `config` can log a metric; what callbacks log, and models that do not say, pass.

    Raises:
        UserError: it cannot; `where` says who asks for it.
    """
    module, _, model_name = config.model.class_path.rpartition(".")
    model = getattr(__import__(module, fromlist=[model_name]), model_name)
    if config.trainer.callbacks or not issubclass(model, lit_seq.topologies.Topology):
        return
    logged = [f"{stage}/{metric}" for stage in ("train", "val", "test") for metric in model.metrics]
    logged += ["train/gradient_norm", "train/gradient_norm_clipped", "train/omega"]
    if not any(fnmatchcase(name, pattern) for pattern in logged):
        raise UserError(f"{where} is {name!r}, which {model_name} does not log; it logs {', '.join(logged)}.")


def _check_ranges(config: Namespace) -> None:
    """Refuse numbers that Lightning would take, and stumble over or train wrongly with."""
    seed, trainer = config.seed_everything, config.trainer
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed_everything is {seed}; it must be at least 0 and below 2**32.")
    if trainer.gradient_clip_val is not None and not trainer.gradient_clip_val >= 0:
        raise UserError(
            f"--trainer.gradient_clip_val is {trainer.gradient_clip_val}; it must be at least 0, or null."
        )
    if trainer.accumulate_grad_batches < 1:
        raise UserError(
            f"--trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}; it must be at least 1."
        )
    if config.name and (Path(config.name).name != config.name or config.name.startswith(".")):
        raise UserError(f"--name is {config.name!r}; it must be the name of one folder, in --runs_dir.")
    _check_optimizer(vars(config.optimizer.get("init_args") or Namespace()))
    if config.checkpoint.monitor and config.model:
        check_metric(config, config.checkpoint.monitor, "--checkpoint.monitor")


def _check_optimizer(options: Mapping[str, Any]) -> None:
    """Refuse what an optimiser would stumble over at its first step."""
    if options.get("capturable") and not torch.cuda.is_available():
        raise UserError("--optimizer.capturable is for a GPU, and there is none here; leave it out.")
    if options.get("differentiable"):
        raise UserError("--optimizer.differentiable is for derivatives of a whole training; leave it out.")
    if options.get("fused") and options.get("foreach"):
        raise UserError(
            "--optimizer.fused and --optimizer.foreach exclude each other; leave one of them out."
        )


def _unfolded(arguments: Sequence[str]) -> Iterator[str]:
    """Turn what W&B's agent passes into what the parser takes.

    A JSON configuration (`${args_json_file}`) holds dotted keys, in any depth: each becomes `--key=value`.
    `${args}` writes null and nested values as Python does.
    """
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option in ("--config", "-c"):
            path = Path(value if equals else next(words, ""))
            if path.suffix == ".json":
                yield from (f"--{key}={_text(item)}" for key, item in sorted(_flat(_read(path))))
            else:
                _check_yaml(path)
                yield f"--config={path}"
        elif word.startswith("-"):
            yield f"{option}{equals}{_from_python(value)}"
        else:
            yield _from_python(word)


def _from_python(text: str) -> str:
    """Return None, a list or a dict, as Python writes them, as JSON; anything else as it is."""
    if text != "None" and text[:1] not in ("[", "{"):
        return text
    try:
        return json.dumps(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError):
        return text


def _classes_first(arguments: Sequence[str]) -> list[str]:
    """Move `--model CLASS` before the `--model.NAME` that it follows: the parser must know the class."""
    ordered: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, _ = word.partition("=")
        pair = [word] if equals or not option.startswith("--") else [word, *_value(words)]
        later = [place for place, earlier in enumerate(ordered) if earlier.startswith(f"{option}.")]
        place = later[0] if option.startswith("--") and later else len(ordered)
        ordered[place:place] = ["=".join(pair)] if len(pair) == 2 else pair
    return ordered


def _value(words: Iterator[str]) -> list[str]:
    return [following for following in [next(words, None)] if following is not None]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The configuration file {path} cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UserError(f"The configuration file {path} is not JSON ({error}).") from None
    if not isinstance(content, dict):
        raise UserError(f"The configuration file {path} holds no keys; it must be one JSON object.")
    return content


def _check_yaml(path: Path) -> None:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UserError(f"The configuration file {path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(
            f"The configuration file {path} is not YAML ({' '.join(str(error).split())})."
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"The configuration file {path} holds no keys; it must be a mapping.")


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and "class_path" not in value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
