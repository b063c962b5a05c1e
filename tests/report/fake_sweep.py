"""Writes run folders in the file formats of design.md, with made-up numbers that look like training."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lit_seq.samples import Writing, to_line

PLAY = (
    "GLOUCESTER:\nWhat say you to this, my lord, that have the crown\n"
    "Upon your head, and yet so little rest?\n\n"
    "KING HENRY:\nIt is the crown that keeps me from my rest.\n"
    "Go, bid them sound the march; the day is young.\n"
)
MUMBLE = "the sor the mand he wor\nand the soure the there he the\n\nTHERS:\nWhe the s and to the mor\n"
NOISE = "e ?hT aotn;\ns lrWh,e iyuo\n\n dnmtAe  soh'r.Teo alhn\n et o"

FLOOR = {"Elman": 2.35, "GRU": 2.02, "LSTM": 2.08}


def write_metrics(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write metrics.csv: columns step, epoch, then metrics; cells of what was not logged stay empty."""
    rows = list(rows)
    columns = ["step", "epoch", *dict.fromkeys(k for row in rows for k in row if k not in ("step", "epoch"))]
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_trial(
    folder: Path,
    overrides: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    *,
    state: str = "finished",
    reason: str | None = None,
    seconds: float = 10.0,
    step: int = 0,
    max_steps: int | None = 500,
    samples: Iterable[Mapping[str, Any]] = (),
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write one run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    write_metrics(folder, rows)
    seed = overrides.get("seed_everything", (config or {}).get("seed_everything"))
    status = {
        "state": state,
        "reason": reason,
        "wandb_run_id": f"run{folder.name}",
        "overrides": dict(overrides),
        "seed": seed,
        "seconds": seconds,
        "step": step or max((row["step"] for row in rows), default=0),
        "max_steps": max_steps,
        "metrics": {},
    }
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "config.yaml").write_text(
        yaml.safe_dump(dict(config or {"wandb": {"group": folder.parent.parent.name}}))
    )
    (folder / "samples.jsonl").write_text("".join(json.dumps(dict(s)) + "\n" for s in samples))
    (folder / "checkpoints").mkdir(exist_ok=True)
    return folder


def write_sweep(
    folder: Path,
    parameters: Mapping[str, Any],
    metric: tuple[str, str] = ("val/bits_per_character", "minimize"),
    **others: Any,
) -> Path:
    """Write what lies beside the trials: sweep.yaml, environment.json."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep = {
        "name": folder.name,
        "method": "grid",
        "metric": {"name": metric[0], "goal": metric[1]},
        "parameters": {key: {"values": list(values)} for key, values in parameters.items()},
        **others,
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    environment = {
        "command": f"lit-seq sweep sweeps/{folder.name}.yaml",
        "date": "2026-11-21T12:00:00+00:00",
        "commit": "54c5a3e0c0ffee0123456789abcdef0123456789",
        "versions": {"lit-seq": "0.1.0", "torch": "2.13.0", "lightning": "2.6.6", "python": "3.11.9"},
        "devices": ["CPU: 2 cores"],
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    return folder


def learning_rows(
    floor: float, seed: int, steps: int = 500, every: int = 5, validate: int = 50, spread: float = 0.015
) -> list[dict[str, Any]]:
    """Return rows of a run whose loss falls from 4.7 towards `floor` bits per character."""
    generator = np.random.default_rng(seed)
    offset, rows = generator.normal(0, spread), []
    for step in range(every, steps + 1, every):
        bits = floor + offset + (4.7 - floor) * math.exp(-step / steps * 6) + 0.3 * (1 - step / steps)
        noisy = bits + generator.normal(0, 0.06)
        rows.append(
            {
                "step": step,
                "epoch": 0,
                "train/loss": noisy * math.log(2),
                "train/grad_norm": 0.3 + 0.1 * noisy,
            }
        )
        if step % validate == 0:
            value = bits + 0.05 + generator.normal(0, 0.004)
            row = {"val/loss": value * math.log(2), "val/bits_per_character": value}
            rows.append({"step": step, "epoch": 0, **row, "val/accuracy": 0.75 - value / 8})
    return rows


def play_samples(steps: int = 500) -> list[dict[str, Any]]:
    """Return a text for each of three moments of training."""
    moments = (("start", 1, NOISE), ("middle", steps // 2, MUMBLE), ("end", steps, PLAY))
    return [
        {"step": step, "moment": moment, **to_line(Writing("\n", 0.8, "\n" + text))}
        for moment, step, text in moments
    ]


def quickstart(folder: Path, seeds: int = 2, floors: Mapping[str, float] = FLOOR) -> Path:
    """Write a finished sweep over cells × seeds."""
    write_sweep(folder, {"model.core.cell": floors, "seed_everything": range(1, seeds + 1)})
    number = 0
    for index, (cell, floor) in enumerate(floors.items()):
        for seed in range(1, seeds + 1):
            write_trial(
                folder / "trials" / f"{number:04d}",
                {"model.core.cell": cell, "seed_everything": seed},
                learning_rows(floor, 100 * index + seed),
                seconds=18.0 + 4 * index + seed / 10,
                samples=play_samples(),
            )
            number += 1
    return folder


def simple_sweep(
    folder: Path,
    values: Mapping[str, Mapping[int, float]],
    metric: tuple[str, str] = ("val/loss", "minimize"),
    state: Callable[[str, int], tuple[str, str | None]] = lambda cell, seed: ("finished", None),
) -> Path:
    """Write a sweep whose trials reach exactly `values[cell][seed]`, half-way, and worse ones after."""
    seeds = sorted({seed for by_seed in values.values() for seed in by_seed})
    write_sweep(folder, {"model.core.cell": values, "seed_everything": seeds}, metric)
    sign = 1 if metric[1] == "minimize" else -1
    number = 0
    for cell, by_seed in values.items():
        for seed, value in by_seed.items():
            rows = [
                {"step": step, "epoch": 0, metric[0]: value + sign * worse}
                for step, worse in ((100, 1.0), (200, 0.0), (300, 0.25))
            ]
            outcome, reason = state(cell, seed)
            overrides = {"model.core.cell": cell, "seed_everything": seed}
            write_trial(
                folder / "trials" / f"{number:04d}",
                overrides,
                rows,
                state=outcome,
                reason=reason,
                max_steps=300,
            )
            number += 1
    return folder
