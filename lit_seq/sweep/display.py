"""What a sweep looks like in a terminal: one line a trial, or one line a change where there is none."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lit_seq.report.configurations import labels
from lit_seq.report.wording import count, duration, number
from lit_seq.run_folder import State
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.trial import Trial

_STATES: tuple[State, ...] = ("running", "finished", "stopped", "diverged", "failed")
_REDRAWN_AFTER = 0.1
_COLOURS = {"running": "cyan", "finished": "green", "stopped": "yellow", "diverged": "red", "failed": "red"}


class Display(Protocol):
    """Where the user watches a sweep."""

    def __enter__(self) -> "Display":
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def say(self, text: str) -> None:
        """Show a sentence."""

    def changed(self, trial: Trial, trials: dict[int, Trial]) -> None:
        """Show that a trial's state has changed."""

    def refresh(self, trials: dict[int, Trial], waiting: int) -> None:
        """Show how far all trials are; `waiting` have not begun."""


def display_for(file: SweepFile, workers: int) -> Display:
    """Return the display for what standard output is."""
    return LiveTable(file, workers, Console()) if sys.stdout.isatty() else Lines(file)


class Names:
    """Short names of trials: what differs between them.

    Args:
        file: the sweep file.
    """

    def __init__(self, file: SweepFile) -> None:
        self._varying = [p.name for p in file.parameters if len(set(map(repr, p.grid() or (0, 1)))) > 1]
        self._names: dict[int, str] = {}

    def of(self, trials: dict[int, Trial]) -> dict[int, str]:
        """Return the name of each trial."""
        if len(self._names) != len(trials):
            if not self._varying:
                return dict.fromkeys(trials, "")
            values = [t.given(self._varying) for t in trials.values()]
            self._names = dict(zip(trials, labels(values), strict=True))
        return self._names


class Lines:
    """Prints a line for each change of a trial's state.

    Args:
        file: the sweep file.
    """

    def __init__(self, file: SweepFile) -> None:
        self._file, self._names = file, Names(file)

    def __enter__(self) -> "Lines":
        """Begin."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Print a sentence."""
        print(text, flush=True)

    def changed(self, trial: Trial, trials: dict[int, Trial]) -> None:
        """Print the trial's line."""
        status = trial.status
        parts = [f"{trial.number:04d}", self._names.of(trials)[trial.number], status.state]
        if status.state != "running":
            parts.append(_steps(trial))
            if self._file.metric and trial.best is not None:
                parts.append(f"{self._file.metric.name} {number(trial.best)}")
            packed = f" in a pack of {status.pack}" if status.pack > 1 else ""
            parts += [f"{duration(status.seconds)}{packed}", status.reason or ""]
        elif status.step:
            parts.append(f"from step {status.step}")
        print("  ".join(part for part in parts if part), flush=True)

    def refresh(self, trials: dict[int, Trial], waiting: int) -> None:
        """Print nothing: only changes are news."""


class TrialTable:
    """How far the trials of a sweep are, as a table with a summary below it.

    Where the trials are more than fit the screen, those that run and those that ended last are shown.

    Args:
        file: the sweep file.
        console: the terminal.
    """

    def __init__(self, file: SweepFile, console: Console) -> None:
        self._file, self._names, self._console = file, Names(file), console

    def drawn(
        self, trials: dict[int, Trial], latest: Iterable[int], waiting: int, workers: int, *further: str
    ) -> Group:
        """Return the table and its summary.

        Args:
            trials: all trials that are known.
            latest: numbers of those that changed, in the order of their changes.
            waiting: how many have not begun.
            workers: how many run at once.
            further: what else the summary says.
        """
        counts = Counter(trial.status.state for trial in trials.values())
        parts = [f"{counts[state]} {state}" for state in _STATES if counts[state]]
        parts += [f"{waiting} waiting"] if waiting else []
        left = time_left(list(trials.values()), waiting, workers)
        parts += [f"{duration(left)} left"] if left else []
        summary = f"{count(len(trials), 'trial')}: {', '.join([*parts, *further])}"
        return Group(self._table(trials, self._shown(trials, list(latest))), Text(summary))

    def _table(self, trials: dict[int, Trial], shown: list[Trial]) -> Table:
        metric = self._file.metric
        table = Table(box=None, pad_edge=False)
        for title in ("trial", "", "state", "step", metric.name if metric else "", "steps/s", "left"):
            # What is too wide for a terminal is taken from the name alone.
            justify: JustifyMethod = "left" if title in ("", "state") else "right"
            table.add_column(title, no_wrap=title != "", justify=justify)
        names = self._names.of(trials)
        for trial in shown:
            status = trial.status
            pace = status.step / status.seconds if status.seconds and status.step else None
            running = status.state == "running"
            table.add_row(
                f"{trial.number:04d}",
                Text(names[trial.number], overflow="ellipsis", no_wrap=True),
                Text(status.state, style=_COLOURS.get(status.state, "dim")),
                _steps(trial),
                "" if trial.best is None else number(trial.best),
                f"{pace:.3g}" if pace else "",
                duration(trial.seconds_left()) if running and pace else "",
            )
        return table

    def _shown(self, trials: dict[int, Trial], latest: list[int]) -> list[Trial]:
        room = max(1, self._console.height - 5)
        order = [*(n for n in reversed(latest) if trials[n].status.state == "running")]
        order += [*reversed(latest), *trials]
        return [trials[n] for n in sorted(list(dict.fromkeys(order))[:room])]


class LiveTable:
    """A `TrialTable` that is redrawn in place.

    Args:
        file: the sweep file.
        workers: how many trials run at once.
        console: the terminal.
    """

    def __init__(self, file: SweepFile, workers: int, console: Console) -> None:
        self._table, self._workers = TrialTable(file, console), workers
        self._console = console
        self._live = Live(console=self._console, auto_refresh=False)
        self._started = time.monotonic()
        self._latest: dict[int, None] = {}
        self._waiting, self._drawn = 0, 0.0

    def __enter__(self) -> "LiveTable":
        """Take the terminal."""
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the last table standing."""
        self._live.stop()

    def say(self, text: str) -> None:
        """Print a sentence above the table."""
        self._console.print(text, highlight=False, markup=False)

    def changed(self, trial: Trial, trials: dict[int, Trial]) -> None:
        """Draw the table anew, with this trial among the latest."""
        self._latest.pop(trial.number, None)
        self._latest[trial.number] = None
        # All trials of a pack change at once; `refresh` shows what is left out here.
        if time.monotonic() - self._drawn > _REDRAWN_AFTER:
            self.refresh(trials, self._waiting)

    def refresh(self, trials: dict[int, Trial], waiting: int) -> None:
        """Draw the table anew."""
        self._waiting, self._drawn = waiting, time.monotonic()
        so_far = f"{duration(time.monotonic() - self._started)} so far"
        drawn = self._table.drawn(trials, self._latest, waiting, self._workers, so_far)
        self._live.update(drawn, refresh=True)


def time_left(trials: list[Trial], waiting: int, workers: int) -> float | None:
    """Estimate the seconds to the sweep's end; None before the first trial has a pace.

    Args:
        trials: all trials known.
        waiting: how many have not begun.
        workers: how many run at once.
    """
    left = {t.number: share for t in trials if (share := t.seconds_left()) is not None}
    running = [
        left[t.number] / t.status.pack for t in trials if t.status.state == "running" and t.number in left
    ]
    whole = [t.status.share for t in trials if t.status.state == "finished"]
    if not whole:
        whole = [t.status.share + left[t.number] / t.status.pack for t in trials if t.number in left]
    if not whole:
        return None
    return (sum(running) + waiting * sum(whole) / len(whole)) / max(1, min(workers, waiting + len(running)))


def _steps(trial: Trial) -> str:
    status: Any = trial.status
    return f"{status.step}/{status.max_steps}" if status.max_steps else str(status.step or "")
