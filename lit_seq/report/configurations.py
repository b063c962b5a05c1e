"""Which trials repeat the same configuration, what tells configurations apart, and what to call them."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lit_seq.report.read import SEED_KEY, Run, flatten

LONGEST = 48

# Where a run lies and how it is watched does not make it another configuration.
_NOT_HYPERPARAMETERS = re.compile(
    rf"^({SEED_KEY}|.*\.seed|name|runs_dir|ckpt_path|config|hyperband\.rungs|wandb.*"
    r"|trainer\.(logger|callbacks|default_root_dir|enable_|log_every|profiler).*)$"
)

_OWN_CLASS = re.compile(r"^(lit_seq|torch)(\.\w+)*\.(?=[A-Z]\w*$)")


@dataclass
class Configuration:
    """Trials that differ in nothing but the seed.

    Attributes:
        values: what tells it apart, key to value; a key that it does not have is absent.
        runs: its trials.
        label: a short name, unique in the report.
    """

    values: dict[str, Any]
    runs: list[Run]
    label: str = ""


def settings(run: Run) -> dict[str, Any]:
    """Return what a run was asked to be: its sweep's overrides over its full configuration.

    Both are spelt as the command line is, `model.core.cell: LSTM`, so that what one sweep varies and another
    has in its base configuration is the same key and value.
    """
    return spelt(run.config) | spelt(flatten(run.status.overrides))


def spelt(flat: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the configuration's form adds to keys and names of classes."""
    return {
        spelt_key(key): _OWN_CLASS.sub("", value) if isinstance(value, str) else value
        for key, value in flat.items()
    }


def spelt_key(key: str) -> str:
    """Write `model.init_args.core.class_path` as `model.core`."""
    return re.sub(r"\.init_args(?=\.)|\.class_path$", "", key)


def varying_keys(runs: Sequence[Run], given: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Find the keys by which runs differ, seed aside.

    Within one sweep these are the overrides that vary. Runs of several sweeps, or without a sweep,
    are told apart by their full configurations; there one decision shows in many keys (a cell's class
    brings its own arguments), so a key counts only where it tells runs apart that the keys before it
    do not.

    Args:
        runs: the runs.
        given: keys that tell them apart already, and are not among those returned.

    Returns:
        The keys that tell the runs apart, and further ones that vary in step with them in all runs.
    """
    overrides = [spelt(flatten(run.status.overrides)) for run in runs]
    swept = [key for key in _union(overrides) if _varies(key, overrides) and key != SEED_KEY]
    chosen = [*given, *(key for key in swept if key not in given)]
    if is_one_sweep(runs):
        return chosen[len(given) :], []
    everything = [settings(run) for run in runs]
    keys = [key for key in _union(everything) if not _NOT_HYPERPARAMETERS.match(key)]
    further = distinguishing([key for key in keys if key not in chosen], everything, chosen)
    together = [
        key
        for key in keys
        if key not in (*chosen, *further)
        and _varies(key, everything)
        and all(key in one for one in everything)
    ]
    return [*chosen[len(given) :], *further], together


def is_one_sweep(runs: Sequence[Run]) -> bool:
    """Whether the runs are trials of one sweep, which says all that they differ by, or a single run."""
    swept = any(run.status.overrides for run in runs)
    return len({run.sweep for run in runs}) == 1 and (swept or len(runs) == 1)


def distinguishing(
    keys: Sequence[str], settings: Sequence[dict[str, Any]], given: Sequence[str] = ()
) -> list[str]:
    """Return those of `keys` that each tell some of `settings` apart that the keys before it do not."""
    chosen: list[str] = []
    groups = _groups(settings, given)
    for key in keys:
        if _varies(key, settings) and (more := _groups(settings, [*given, *chosen, key])) > groups:
            chosen.append(key)
            groups = more
    return chosen


def varies(key: str, runs: Sequence[Run]) -> bool:
    """Whether runs differ in a setting."""
    return _varies(key, [settings(run) for run in runs])


def group(runs: Sequence[Run], keys: Sequence[str]) -> list[Configuration]:
    """Put runs with equal values of `keys` together, in the order in which they first appear."""
    groups: dict[str, Configuration] = {}
    for run in runs:
        own = settings(run)
        values = {key: own[key] for key in keys if key in own}
        groups.setdefault(identity(values), Configuration(values, [])).runs.append(run)
    configurations = list(groups.values())
    for configuration, name in zip(configurations, labels([c.values for c in configurations]), strict=True):
        configuration.label = name
    return configurations


def identity(value: Any) -> str:
    """Return text that is equal for equal settings: 1 and 1.0 are."""
    return json.dumps(_with_whole_numbers(value), sort_keys=True, default=str)


def labels(settings: Sequence[dict[str, Any]]) -> list[str]:
    """Name each of `settings`: words stand alone ("LSTM"), numbers with their key ("lr 0.01").

    Names are unique: where two would be the same, all keys are written out, and then numbered.
    """
    keys = _union(settings)
    short = short_names(keys)
    bare = {key for key in keys if all(isinstance(s.get(key), str | None) for s in settings)}

    def name(values: dict[str, Any], spelt: bool) -> str:
        parts = [
            show(value) if key in bare and not spelt else f"{short[key]} {show(value)}"
            for key, value in values.items()
        ]
        return ", ".join(parts) or "all trials"

    names = [name(values, spelt=False) for values in settings]
    if len(set(names)) < len(names):
        names = [name(values, spelt=True) for values in settings]
    times, seen = Counter(names), Counter[str]()
    for index, text in enumerate(names):
        seen[text] += 1
        names[index] = text if times[text] == 1 else f"{text} #{seen[text]}"
    return names


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Cut dotted keys to the fewest last parts that keep them apart."""
    parts = {key: key.split(".") for key in keys}
    short = {}
    for key in keys:
        for n in range(1, len(parts[key]) + 1):
            tail = parts[key][-n:]
            if all(other == key or parts[other][-n:] != tail for other in keys):
                break
        else:
            tail = [key]
        short[key] = ".".join(tail)
    return short


def show(value: Any) -> str:
    """Write a setting as a person would: a class by its name, a float without noise."""
    if value is None:
        text = "none"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", value):
        text = value.rpartition(".")[2]
    elif isinstance(value, dict | list):
        text = identity(value)
    else:
        text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _union(mappings: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _varies(key: str, mappings: Sequence[dict[str, Any]]) -> bool:
    return _groups(mappings, [key]) > 1


def _groups(mappings: Sequence[dict[str, Any]], keys: Sequence[str]) -> int:
    return len({identity({key: one[key] for key in keys if key in one}) for one in mappings})


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_whole_numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
