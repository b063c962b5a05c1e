"""Run folders → plain data; `lit_seq.report.wandb.source` makes the same of runs at W&B."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lit_seq.errors import UserError
from lit_seq.report.wording import count
from lit_seq.run_folder import Status
from lit_seq.samples import Sample, from_line

if TYPE_CHECKING:
    import pandas as pd

SEED_KEY = "seed_everything"


@dataclass(frozen=True)
class Seen:
    """What a model said at one moment of its training: a line of samples.jsonl."""

    step: int
    moment: str
    sample: Sample


@dataclass
class Run:
    """What one run folder says.

    Attributes:
        name: the folder's name.
        folder: where it lies; of a run at W&B, its address there.
        sweep: the folder of the sweep it belongs to; its own folder for a single run.
        status: status.json.
        config: config.yaml, flattened to dotted keys.
        metrics: for each metric, the logged values by step; NaN and infinities as they were logged.
        samples: what the model said, in the order in which it was written.
        problems: what could not be read, a sentence each.
        url: its page at W&B, where it was read from there.
    """

    name: str
    folder: Path
    sweep: Path
    status: Status
    config: dict[str, Any] = field(default_factory=dict)
    metrics: "dict[str, pd.Series]" = field(default_factory=dict)
    samples: list[Seen] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    url: str | None = None

    @property
    def seed(self) -> int | None:
        """The seed, from whichever file has it."""
        candidates = (self.status.seed, self.status.overrides.get(SEED_KEY), self.config.get(SEED_KEY))
        return next((s for s in candidates if isinstance(s, int) and not isinstance(s, bool)), None)


def read_runs(folder: Path) -> list[Run]:
    """Read every run at or below `folder`: a run folder, a sweep's folder, or a folder of either.

    Raises:
        UserError: there is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")
    runs = [_read_run(run, sweep) for run, sweep in _run_folders(folder)]
    if not runs:
        raise UserError(
            f"{folder} holds no trial: a sweep's folder has trials/NUMBER/status.json, "
            "a run's folder status.json."
        )
    return runs


def _run_folders(folder: Path) -> Iterator[tuple[Path, Path]]:
    if (folder / "trials").is_dir():
        yield from ((run, folder) for run in _subfolders(folder / "trials"))
    elif (folder / "status.json").exists():
        yield folder, folder
    else:
        for child in _subfolders(folder):
            if (child / "trials").is_dir() or (child / "status.json").exists():
                yield from _run_folders(child)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _read_run(folder: Path, sweep: Path) -> Run:
    problems: list[str] = []
    if (folder / "status.json").exists():
        try:
            status = Status.read(folder)
        except UserError as error:
            status = Status(state="failed", reason=str(error))
    else:
        status = Status(state="queued", reason="The run folder has no status.json yet.")
    return Run(
        name=folder.resolve().name,
        folder=folder,
        sweep=sweep,
        status=status,
        config=flatten(read_yaml(folder / "config.yaml", problems)),
        metrics=_read_metrics(folder / "metrics.csv", problems),
        samples=_read_samples(folder / "samples.jsonl", problems),
        problems=problems,
    )


def read_yaml(path: Path, problems: list[str]) -> dict[str, Any]:
    """Read a mapping; where there is none, return an empty one, and note a damaged file in `problems`."""
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        problems.append(f"{path.name} could not be read ({type(error).__name__}).")
        return {}
    return parse_yaml(text, path.name, problems)


def parse_yaml(text: str, name: str, problems: list[str]) -> dict[str, Any]:
    """Read a mapping; where there is none, return an empty one, and note what is no YAML in `problems`."""
    try:
        content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError) as error:
        problems.append(f"{name} could not be read ({type(error).__name__}).")
        return {}
    return content if isinstance(content, dict) else {}


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _read_metrics(path: Path, problems: list[str]) -> "dict[str, pd.Series]":
    """Read metrics.csv.

    An empty cell (nothing logged) and a logged NaN stay apart, which pandas' own reader does not do. A
    last line without its newline was cut while it was written: its last number may lack digits, so
    the line is left out.
    """
    import pandas as pd

    if not path.exists():
        return {}
    complete, _, rest = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    rows = _rows(complete.replace("\0", ""))
    header = next(rows, [])
    if "step" not in header:
        if complete or rest:
            problems.append(f"{path.name} could not be read: it has no column step.")
        return {}
    at, damaged = header.index("step"), int(bool(rest))
    logged: dict[str, dict[int, float]] = {name: {} for name in header if name not in ("step", "epoch")}
    for row in rows:
        try:
            if len(row) > len(header):
                raise ValueError
            step = int(float(row[at]))
            for name, cell in zip(header, row, strict=False):
                if cell and name in logged:
                    # A resumed run writes some steps again: the later row is the one that led on.
                    logged[name][step] = float(cell)
        except (ValueError, IndexError, OverflowError):
            damaged += 1
    if damaged:
        problems.append(f"{path.name}: {count(damaged, 'damaged line')} left out.")
    return {name: pd.Series(values, dtype=float).sort_index() for name, values in logged.items() if values}


def _rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each line; none for a line that is no CSV."""
    reader = csv.reader(text.splitlines())
    while True:
        try:
            yield next(reader)
        except csv.Error:
            yield []
        except StopIteration:
            return


def _read_samples(path: Path, problems: list[str]) -> list[Seen]:
    if not path.exists():
        return []
    seen, damaged = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            seen.append(Seen(int(entry["step"]), str(entry.get("moment", "")), from_line(entry)))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged += 1
    if damaged:
        problems.append(f"{path.name}: {count(damaged, 'damaged line')} left out.")
    return seen
