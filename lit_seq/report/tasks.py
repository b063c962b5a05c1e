"""Which runs learn the same task, so that their metrics can be compared."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from lit_seq.report.configurations import (
    Configuration,
    distinguishing,
    group,
    is_one_sweep,
    settings,
    short_names,
    show,
    spelt,
)
from lit_seq.report.read import Run, flatten

# How data is read does not change what is to be learnt; everything else below `data` does.
_READING = re.compile(
    r"(^|\.)(batch_size|num_workers|seed|streaming|train_batches|bucket\w*|chunk_length|vocabulary_characters)$"
)


@dataclass
class Task:
    """Runs whose metrics can be compared.

    Attributes:
        name: what the runs learn; None where all learn the same.
        runs: the runs.
        configurations: by configuration, one run a seed.
        compared: the same, by what is compared.
    """

    name: str | None
    runs: list[Run]
    configurations: list[Configuration] = field(default_factory=list)
    compared: list[Configuration] = field(default_factory=list)


def task_keys(runs: Sequence[Run], compared: Sequence[str]) -> list[str]:
    """Return the keys that tell the runs' tasks apart: those of the data, unless they are compared.

    Within one sweep these are among its own keys: the trials have everything else in common.
    """
    own = [spelt(flatten(run.status.overrides)) for run in runs]
    everything = own if is_one_sweep(runs) else [settings(run) for run in runs]
    keys = dict.fromkeys(key for one in everything for key in one if key == "data" or key.startswith("data."))
    return distinguishing(
        [key for key in keys if not _READING.search(key) and key not in compared], everything
    )


def tasks(runs: Sequence[Run], keys: Sequence[str]) -> list[Task]:
    """Put runs of the same task together, in the order in which they first appear."""
    if not keys:
        return [Task(None, list(runs))]
    short = short_names(keys)
    found = []
    for together in group(runs, keys):
        parts = [
            show(value) if isinstance(value, str) else f"{short[key]} {show(value)}"
            for key, value in together.values.items()
        ]
        found.append(Task(", ".join(parts), together.runs))
    return found
