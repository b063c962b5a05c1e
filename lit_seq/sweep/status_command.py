"""`lit-seq status FOLDER`: how far a sweep is, from another terminal or after it ended."""

import argparse
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_seq.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EVERY = 1.0
"""Seconds between two looks of --watch."""


def add_parser(subparsers: Any) -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "status", help="how far a sweep is", description="Say how far the sweeps of a folder are."
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a sweep's folder, or one of several (such as runs)"
    )
    parser.add_argument("--watch", action="store_true", help="keep it up to date until nobody works on them")


def run(arguments: argparse.Namespace) -> int:
    """Print a table for each sweep; with --watch redraw them in place.

    Raises:
        UserError: the folder holds no sweep.
    """
    from rich.console import Console
    from rich.live import Live

    sweeps = _sweeps(arguments.folder)
    # A file or a pipe takes whole lines.
    console = Console() if sys.stdout.isatty() else Console(width=int(os.environ.get("COLUMNS", 200)))
    if not arguments.watch:
        console.print(_drawn(sweeps, console), highlight=False)
        return 0
    with Live(_drawn(sweeps, console), console=console, auto_refresh=False) as live:
        while any(worked_on(sweep) for sweep in sweeps):
            time.sleep(EVERY)
            live.update(_drawn(sweeps, console), refresh=True)
    return 0


def worked_on(sweep: Path) -> bool:
    """Return whether a driver, or a worker that outlived its driver, is at work on a sweep."""
    try:
        with (sweep / "lock").open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _sweeps(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")
    found = [one for one in [folder, *sorted(folder.iterdir())] if (one / "sweep.yaml").is_file()]
    if not found:
        raise UserError(f"{folder} holds no sweep: a sweep's folder has a sweep.yaml.")
    return found


def _drawn(sweeps: list[Path], console: "Console") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from lit_seq.sweep.display import TrialTable
    from lit_seq.sweep.file import read_sweep_file
    from lit_seq.sweep.search import Search
    from lit_seq.sweep.trial import read_trials

    parts: list[Any] = []
    for sweep in sweeps:
        file = read_sweep_file(sweep / "sweep.yaml")
        trials = read_trials(sweep, file.metric)
        # Where machines share the work, a trial's folder is made when it begins.
        waiting = max(0, Search(file).size - len(list((sweep / "trials").iterdir())))
        waiting += sum(trial.status.state == "queued" for trial in trials.values())
        running = [trial for trial in trials.values() if trial.status.state == "running"]
        workers = max(1, round(sum(1 / trial.status.pack for trial in running)))
        state = "at work" if worked_on(sweep) else "nobody works on it"
        if state != "at work" and (waiting or running):
            state += "; lit-seq sweep FILE --resume goes on"
        latest = sorted(trials, key=lambda number: (trials[number].folder / "status.json").stat().st_mtime)
        parts += [Text(str(sweep), style="bold")]
        parts += [TrialTable(file, console).drawn(trials, latest, waiting, workers, state), Text()]
    return Group(*parts[:-1])
