"""Folders of one sweep that several machines worked on, each with runs of its own, made one again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lit_seq.report.read import Run
from lit_seq.report.sweep_folder import SweepFolder
from lit_seq.run_folder import ENDED

_OVER = [state for state in ENDED if state != "failed"]


def joined(
    runs: Sequence[Run], sources: Mapping[Path, SweepFolder]
) -> tuple[list[Run], dict[Path, SweepFolder]]:
    """Take the folders of one sweep for one, and each trial once.

    A trial that was handed on from a machine that was gone lies in the folders of both. It is the same W&B
    run; the one that came further counts.

    Args:
        runs: of all folders.
        sources: the folders that they are part of, by path.
    """
    first: dict[str, Path] = {}
    for folder, source in sources.items():
        if isinstance(study := source.environment.get("study"), str):
            first.setdefault(study, folder)
    kept: dict[tuple[Path, str | None, Path | None], Run] = {}
    for run in runs:
        study = sources[run.sweep].environment.get("study") if run.sweep in sources else None
        run.sweep = first.get(str(study), run.sweep)
        run_id = run.status.wandb_run_id
        key = (run.sweep, run_id, None if run_id else run.folder)
        if key not in kept or _progress(run) > _progress(kept[key]):
            kept[key] = run
    parts = {run.sweep for run in kept.values()}
    ordered = sorted(kept.values(), key=lambda run: run.name) if len(parts) < len(sources) else kept.values()
    return list(ordered), {folder: source for folder, source in sources.items() if folder in parts}


def _progress(run: Run) -> tuple[bool, bool, int]:
    return run.status.state in _OVER, run.status.state in ENDED, run.status.step
