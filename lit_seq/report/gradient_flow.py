"""How gradients flow through time in the best configurations, at moments of their training.

From diagnostics/*.npz in the run folders, by `lit_seq.diagnostics.GradientFlow` and `StateJacobians`.
"""

import math
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lit_seq.report.configurations import Configuration
from lit_seq.report.read import Run
from lit_seq.report.wording import listing

SHOWN = 6
"""Configurations of a task that are compared."""
MOST_POINTS = 120
"""Steps in time that are drawn."""
_CELLS = 3

Quantity = Literal["gradient", "jacobian", "contribution"]
Moment = Literal["start", "middle", "end"]
Arrays = dict[str, NDArray]

# Names of the arrays that a diagnostic leaves for each cell.
_NAMES = {
    "GradientFlow": ("gradient", "contribution", "short_term", "long_term"),
    "StateJacobians": ("log_norm", "exponents"),
}


@dataclass
class FlowLine:
    """A configuration's norms along time, at one moment of its training.

    Attributes:
        label: the configuration.
        moment: "start", the first look that all its trials had, "middle" or "end", the last one.
        step: optimiser steps done by then.
        trials: number of trials: those that count, or, where none does, all.
        x: steps in time: t, T - t or ℓ.
        mean: log10 of the geometric mean over trials; None where one has no such step, or exactly zero.
        low: log10 of the lowest.
        high: log10 of the highest.
    """

    label: str
    moment: Moment
    step: int
    trials: int
    x: list[int]
    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


@dataclass
class Flow:
    """One quantity along time, of one cell.

    Attributes:
        task: what was learnt; None where all learn the same.
        cell: name of the module.
        quantity: ‖∂E/∂h_t‖ against t ("gradient"), ‖∂h_T/∂h_t‖ against T - t ("jacobian"), or the norm of
            what steps ℓ apart contribute to the gradient of the parameters ("contribution").
        lines: by configuration, best first, and moment.
    """

    task: str | None
    cell: str
    quantity: Quantity
    lines: list[FlowLine]


@dataclass
class Split:
    """What the flow of a configuration amounts to, at one moment of its training.

    Attributes:
        task: what was learnt; None where all learn the same.
        label: the configuration.
        cell: name of the module.
        step: optimiser steps done by then.
        trials: number of trials, of which these are means.
        ratio: log10 of ‖∂E/∂h_t‖ at the first step in time over that at the last.
        long_term_share: norm of the long-term contributions to the gradient, over long plus short.
        exponent: the largest Lyapunov exponent in nats a step.
    """

    task: str | None
    label: str
    cell: str
    step: int
    trials: int
    ratio: float | None = None
    long_term_share: float | None = None
    exponent: float | None = None


@dataclass
class Found:
    """What diagnostics left; `notes` says what could not be read, or is left out."""

    flows: list[Flow]
    splits: list[Split]
    notes: list[str]


def gradient_flow(
    configurations: Sequence[Configuration], counted: Collection[int], task: str | None = None
) -> Found:
    """Compare the first of `configurations`.

    Args:
        configurations: a task's, best first.
        counted: `id` of each run that counts.
        task: its name.
    """
    notes: list[str] = []
    flows: dict[tuple[str, Quantity], Flow] = {}
    splits: dict[tuple[str, str, int], Split] = {}
    for configuration in configurations[:SHOWN]:
        label = configuration.label
        runs = [run for run in configuration.runs if id(run) in counted] or configuration.runs
        for name in _NAMES:
            looks = [look for run in runs if (look := _read(run, name, notes))]
            for cell, moment, step in _looked(looks, name):
                own = [_at(look, cell, step) for look in looks]
                for quantity, logs in _logs(own).items():
                    flow = flows.setdefault((cell, quantity), Flow(task, cell, quantity, []))
                    flow.lines.append(_line(label, moment, step, quantity, logs))
                split = splits.setdefault((label, cell, step), Split(task, label, cell, step, len(own)))
                _sum_up(split, own)
    every = list(dict.fromkeys(cell for cell, _ in flows))
    cells = every[:_CELLS]
    if left_out := every[_CELLS:]:
        notes.append(f"Gradient flow is shown of {listing(cells)}, not of {listing(left_out)}.")
    return Found(
        [
            flows[cell, quantity]
            for cell in cells
            for quantity in get_args(Quantity)
            if (cell, quantity) in flows
        ],
        [split for split in splits.values() if split.cell in cells],
        notes,
    )


def _read(run: Run, name: str, notes: list[str]) -> Arrays:
    path = run.folder / "diagnostics" / f"{name}.npz"
    if not path.exists():
        return {}
    try:
        with np.load(path) as stored:
            arrays = dict(stored)
        if len({len(array) for array in arrays.values()} | {len(arrays["step"])}) > 1:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        notes.append(f"Trial {run.name}: diagnostics/{path.name} could not be read.")
        return {}
    return arrays


def _looked(looks: Sequence[Arrays], name: str) -> Iterator[tuple[str, Moment, int]]:
    """Yield the cells that all trials have, with the moments and optimiser steps at which all looked."""
    if not looks:
        return
    shared = sorted(set.intersection(*({int(step) for step in look["step"]} for look in looks)))
    keys = set.intersection(*(set(look) for look in looks))
    cells = [
        key.removesuffix(f"/{_NAMES[name][0]}") for key in looks[0] if key.endswith(f"/{_NAMES[name][0]}")
    ]
    for cell in cells:
        if shared and {f"{cell}/{array}" for array in _NAMES[name]} <= keys:
            halfway = min(shared, key=lambda step: abs(step - shared[-1] / 2))
            yield cell, "start", shared[0]
            if halfway not in (shared[0], shared[-1]):
                yield cell, "middle", halfway
            if len(shared) > 1:
                yield cell, "end", shared[-1]


def _at(look: Arrays, cell: str, step: int) -> Arrays:
    """Return a cell's arrays of one moment."""
    place = int(np.flatnonzero(look["step"] == step)[0])
    prefix = f"{cell}/"
    return {
        key.removeprefix(prefix): np.asarray(array[place], dtype=float)
        for key, array in look.items()
        if key.startswith(prefix)
    }


def _logs(looks: Sequence[Arrays]) -> dict[Quantity, list[NDArray]]:
    """Return log10 of what is drawn, of each trial."""
    with np.errstate(divide="ignore"):
        if "log_norm" in looks[0]:
            return {"jacobian": [look["log_norm"] / math.log(10) for look in looks]}
        return {
            "gradient": [np.log10(look["gradient"]) for look in looks],
            "contribution": [np.log10(look["contribution"]) for look in looks],
        }


def _line(label: str, moment: Moment, step: int, quantity: Quantity, logs: Sequence[NDArray]) -> FlowLine:
    time = min(len(one) for one in logs)
    rows = np.stack([one[:time] for one in logs])
    places = np.unique(np.linspace(0, time - 1, min(time, MOST_POINTS)).round().astype(int))
    x = (places + (quantity != "contribution")).tolist()
    mean, low, high = (_told(over[places]) for over in (rows.mean(0), rows.min(0), rows.max(0)))
    return FlowLine(label, moment, step, len(logs), x, mean, low, high)


def _sum_up(split: Split, looks: Sequence[Arrays]) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        if "exponents" in looks[0]:
            split.exponent = _mean([float(look["exponents"].max()) for look in looks])
        else:
            # Where no sequence has a step, it is NaN.
            norms = [look["gradient"][~np.isnan(look["gradient"])] for look in looks]
            split.ratio = _mean(
                [float(np.log10(own[0] / own[-1])) if len(own) else math.nan for own in norms]
            )
            split.long_term_share = _mean(
                [float(look["long_term"] / (look["long_term"] + look["short_term"])) for look in looks]
            )


def _mean(values: Sequence[float]) -> float | None:
    value = float(np.mean(values))
    return value if math.isfinite(value) else None


def _told(values: NDArray) -> list[float | None]:
    return [round(float(value), 3) if math.isfinite(value) else None for value in values]
