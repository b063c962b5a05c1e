"""What a sweep says at its end."""

from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from lit_seq.errors import UserError
from lit_seq.report.configurations import labels
from lit_seq.report.wording import count, number
from lit_seq.sweep.file import Metric, SweepFile
from lit_seq.sweep.parameters import identity
from lit_seq.sweep.trial import Trial

if TYPE_CHECKING:
    from lit_seq.report.document import Document
    from lit_seq.report.plan import Plan

_SEED = "seed_everything"


def describe_outcome(trials: list[Trial], file: SweepFile) -> list[str]:
    """Return sentences: how many trials ended how, each failure, and the best configuration."""
    states = Counter(trial.status.state for trial in trials)
    counts = ", ".join(f"{n} {state}" for state, n in states.items())
    sentences = [f"{count(len(trials), 'trial')}: {counts}."]
    for trial in trials:
        if trial.status.state in ("failed", "diverged"):
            log = trial.folder / "log.txt"
            sentences.append(
                f"{trial.number:04d} {trial.status.state}: {trial.status.reason} (more in {log})"
            )
    if file.metric is None:
        return sentences
    silent = [t for t in trials if t.status.state in ("finished", "stopped") and t.best is None]
    if silent:
        logged = ", ".join(sorted(silent[0].status.metrics)) or "nothing"
        first = f"{silent[0].number:04d} logged {logged}"
        sentences.append(f"{count(len(silent), 'trial')} never logged {file.metric.name}; {first}.")
    best = _best_configuration(trials, file, file.metric)
    return [*sentences, best] if best else sentences


def write_sweep_report(folder: Path, file: SweepFile) -> tuple[Path, "Document"]:
    """Write the sweep's report.html, by the report file of the same name where there is one.

    Sweep files lie in sweeps/ and report files in reports/ beside it. A report file that speaks of other
    folders than this sweep's is left alone.

    Returns:
        The file, and what it says.

    Raises:
        UserError: the report cannot be written.
    """
    from lit_seq.report.document import build
    from lit_seq.report.plan import Plan
    from lit_seq.report.writing import write

    source = file.path.resolve().parent.parent / "reports" / f"{file.path.stem}.yaml"
    ours = source.exists() and folder.resolve() in _named_folders(Plan.of(source))
    document, target = build(Plan.of(source if ours else folder)), folder / "report.html"
    write(document, target, "html")
    return target, document


def _named_folders(plan: "Plan") -> list[Path]:
    try:
        return [found.resolve() for found in plan.folders()]
    except UserError:  # sweeps that have not been run yet
        return []


def _best_configuration(trials: list[Trial], file: SweepFile, metric: Metric) -> str | None:
    """Name the configuration with the best mean over its seeds."""
    varying = [p.name for p in file.parameters if len({identity(v) for v in p.grid() or (0, 1)}) > 1]
    settings: dict[str, dict[str, Any]] = {}
    found: dict[str, list[float]] = {}
    for trial in trials:
        values = trial.given(key for key in varying if key != _SEED)
        settings[identity(values)] = values
        if trial.best is not None and trial.status.state in ("finished", "stopped"):
            found.setdefault(identity(values), []).append(trial.best)
    if not found:
        return None
    means = {key: fmean(values) for key, values in found.items()}
    best = (min if metric.goal == "minimize" else max)(means, key=lambda key: means[key])
    trials_of_it = f" (mean of {len(found[best])} trials)" if len(found[best]) > 1 else ""
    name = dict(zip(settings, labels(list(settings.values())), strict=True))[best]
    by = f", by {name}" if len(settings) > 1 else ""
    return f"Best {metric.name}: {number(means[best])}{trials_of_it}{by}."
