"""Which trials may share a pack: those that differ in values only."""

import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from torch import nn

from lit_seq.diagnostics import Diagnostic
from lit_seq.packing.function import Unpackable
from lit_seq.packing.update_rules import RULES

PER_RUN = ("seed_everything", "name", "runs_dir")
"""Keys of the command line that each trial of a pack has for itself."""

PER_TRIAL = ("gradient_clip_val", "gradient_clip_algorithm")
"""Arguments of the trainer that a pack applies per trial (`lit_seq.packing.clipping`)."""

_EARLY_STOPPING = (
    "lightning.pytorch.callbacks.EarlyStopping",
    "lightning.pytorch.callbacks.early_stopping.EarlyStopping",
)


class PackKey(NamedTuple):
    """What trials must have in common to be stacked.

    Attributes:
        common: their configuration less its values, as JSON.
        values: names of the options that may differ, such as "optimizer.lr".
    """

    common: str
    values: frozenset[str]


def pack_key(config: dict[str, Any]) -> PackKey:
    """Return what trials must have in common to be stacked with the one of this configuration.

    The values are those of `PER_RUN` and `PER_TRIAL`, those of `EarlyStopping` and of diagnostics, the data's
    seed, those that an optimiser's stacked rule reads (`lit_seq.packing.update_rules.RULES`), a schedule's
    options, and those that the classes of model, core and cell declare in `values`.

    Args:
        config: a run's full configuration, as plain data.

    Raises:
        Unpackable: the configuration is of a run that trains alone.
    """
    left: set[str] = set(PER_RUN)
    kept = {name: value for name, value in config.items() if name not in PER_RUN}
    left |= trainer_values(config["trainer"])
    kept["trainer"] = {
        name: value for name, value in config["trainer"].items() if name not in (*PER_TRIAL, "callbacks")
    }
    kept["data"] = _without(config["data"], ("seed",), "data", left)
    kept["optimizer"] = _without(config["optimizer"], _rule_values(config["optimizer"]), "optimizer", left)
    if schedule := config.get("lr_scheduler"):
        if schedule["class_path"].endswith("ReduceLROnPlateau"):
            raise Unpackable("ReduceLROnPlateau follows the metrics of a single run")
        kept["lr_scheduler"] = schedule["class_path"]
        left |= {f"lr_scheduler.{name}" for name in schedule.get("init_args", {})}
    kept["model"] = _without_declared_values(config["model"], "model", left)
    return PackKey(json.dumps(kept, sort_keys=True, default=str), frozenset(left))


def trainer_values(trainer: dict[str, Any]) -> set[str]:
    """Return the names of the trainer's options that each trial of a pack has for itself.

    Args:
        trainer: the arguments of the trainer that a trial asks for, as plain data.

    Raises:
        Unpackable: one of them is for a run that trains alone.
    """
    if several_processes(trainer):
        raise Unpackable("several processes train it")
    if trainer.get("logger"):
        raise Unpackable("a logger of the user's own sees a single run only")
    if str(trainer.get("precision")) in ("16", "16-mixed"):
        raise Unpackable("precision 16-mixed scales losses, and leaves steps out, by what a single run does")
    names = {f"trainer.{name}" for name in PER_TRIAL}
    callbacks = trainer.get("callbacks") or []
    for callback in callbacks if isinstance(callbacks, list) else [callbacks]:
        options = callback.get("init_args", {})
        if _is_diagnostic(callback["class_path"]):
            names |= {f"trainer.callbacks.{name}" for name in options}
            continue
        if callback["class_path"] not in _EARLY_STOPPING:
            raise Unpackable("callbacks other than EarlyStopping and diagnostics see a single run only")
        if not options["monitor"].startswith("val/"):
            raise Unpackable(f"EarlyStopping monitors {options['monitor']}, not a metric of validation")
        if trainer.get("min_steps") or trainer.get("min_epochs"):
            raise Unpackable("EarlyStopping ends a run with min_steps or min_epochs between validations")
        names |= {f"trainer.callbacks.{name}" for name in options}
    return names


def several_processes(trainer: dict[str, Any]) -> bool:
    """Tell whether a trainer with these arguments asks for more than one device."""
    devices = trainer.get("devices")
    count = len(devices) if isinstance(devices, list) else devices
    # What is there is what a worker sees, which is one device.
    return str(count) not in ("None", "auto", "-1", "1") or (trainer.get("num_nodes") or 1) != 1


def _is_diagnostic(path: str) -> bool:
    module, _, name = path.rpartition(".")
    return issubclass(getattr(import_module(module), name), Diagnostic)


def _rule_values(optimizer: dict[str, Any]) -> tuple[str, ...]:
    """Return the options that an optimiser's stacked rule takes per trial."""
    path = optimizer["class_path"]
    for kind, (_, values) in RULES.items():
        if path in (f"torch.optim.{kind.__name__}", f"{kind.__module__}.{kind.__name__}"):
            return values
    raise Unpackable(f"{path.rpartition('.')[2]} has no stacked form")


def _without(node: dict[str, Any], values: tuple[str, ...], path: str, left: set[str]) -> dict[str, Any]:
    left |= {f"{path}.{name}" for name in values}
    arguments = {name: value for name, value in node.get("init_args", {}).items() if name not in values}
    return {"class_path": node["class_path"], "init_args": arguments}


def _without_declared_values(node: Any, path: str, left: set[str]) -> Any:
    if isinstance(node, dict) and "class_path" in node:
        module, _, name = node["class_path"].rpartition(".")
        kind = getattr(__import__(module, fromlist=[name]), name)
        if alone := getattr(kind, "alone", None):
            raise Unpackable(alone)
        declared = (
            getattr(kind, "values", ()) if isinstance(kind, type) and issubclass(kind, nn.Module) else ()
        )
        off = [name for name in getattr(kind, "switches", ()) if node.get("init_args", {}).get(name) is None]
        values = tuple(name for name in declared if name not in off) if isinstance(declared, tuple) else ()
        arguments = _without(node, values, path, left)["init_args"]
        inner = {
            key: _without_declared_values(value, f"{path}.{key}", left) for key, value in arguments.items()
        }
        return {"class_path": node["class_path"], "init_args": inner}
    return node


def different_keys(nodes: Sequence[Any], path: str) -> list[str]:
    """Return the options in which configurations differ.

    Args:
        nodes: the configurations, as plain data.
        path: name of what they configure, such as "model".
    """
    if all(isinstance(node, dict) for node in nodes):
        found = []
        for name in dict.fromkeys(name for node in nodes for name in node):
            inner = path if name == "init_args" else f"{path}.{name}"
            found += different_keys([node.get(name) for node in nodes], inner)
        return found
    return [path] if any(node != nodes[0] for node in nodes) else []
