"""Which trials may share a pack: those that differ in values only."""

import json
from typing import Any

from lit_seq.cells import Cell
from lit_seq.packing.optimisers import RULES

PER_RUN = ("seed_everything", "name", "runs_dir")
"""Keys of the command line that each trial of a pack has for itself."""

PER_TRIAL = ("gradient_clip_val", "gradient_clip_algorithm")
"""Arguments of the trainer that a pack applies per trial (`lit_seq.packing.clipping`)."""


def pack_key(config: dict[str, Any]) -> str:
    """Return what trials must have in common to be stacked: their configuration less its values.

    The values are those of `PER_RUN` and `PER_TRIAL`, the data's seed, those that an optimiser's stacked rule
    reads (`lit_seq.packing.optimisers.RULES`), a schedule's options, and those that a cell declares.

    Args:
        config: a run's full configuration, as plain data.
    """
    kept = {name: value for name, value in config.items() if name not in PER_RUN}
    kept["trainer"] = {name: value for name, value in config["trainer"].items() if name not in PER_TRIAL}
    kept["data"] = _without(config["data"], ("seed",))
    optimizer = config.get("optimizer") or {}
    for kind, (_, values) in RULES.items():
        if optimizer.get("class_path") in (
            f"torch.optim.{kind.__name__}",
            f"{kind.__module__}.{kind.__name__}",
        ):
            kept["optimizer"] = _without(optimizer, values)
    if config.get("lr_scheduler"):
        kept["lr_scheduler"] = config["lr_scheduler"]["class_path"]
    kept["model"] = _without_cell_values(config["model"])
    return json.dumps(kept, sort_keys=True, default=str)


def _without(node: dict[str, Any], values: tuple[str, ...]) -> dict[str, Any]:
    arguments = {name: value for name, value in node.get("init_args", {}).items() if name not in values}
    return {"class_path": node["class_path"], "init_args": arguments}


def _without_cell_values(node: Any) -> Any:
    if isinstance(node, dict) and "class_path" in node:
        module, _, name = node["class_path"].rpartition(".")
        kind = getattr(__import__(module, fromlist=[name]), name)
        values = kind.values if isinstance(kind, type) and issubclass(kind, Cell) else ()
        inner = {
            key: _without_cell_values(value) for key, value in _without(node, values)["init_args"].items()
        }
        return {"class_path": node["class_path"], "init_args": inner}
    return node
