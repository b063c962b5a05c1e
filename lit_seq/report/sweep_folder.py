"""What lies beside the trials: the sweep file as it was launched, and where it ran."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_seq.report.plan import Goal
from lit_seq.report.read import read_yaml


@dataclass
class SweepFolder:
    """A sweep's folder, or a single run's, without its trials.

    Attributes:
        folder: where it lies; of a sweep at W&B, its address there.
        file: sweep.yaml; empty for a single run.
        environment: environment.json: command, date, commit, versions, devices.
        problems: what could not be read.
        url: its page at W&B, where it was read from there.
    """

    folder: Path
    file: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    url: str | None = None

    @classmethod
    def read(cls, folder: Path) -> "SweepFolder":
        """Read the files, as far as they are there."""
        problems: list[str] = []
        environment: Any = {}
        path = folder / "environment.json"
        try:
            environment = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (ValueError, OSError):
            problems.append(f"{folder.resolve().name}/environment.json could not be read.")
        file = read_yaml(folder / "sweep.yaml", problems)
        return cls(folder, file, environment if isinstance(environment, dict) else {}, problems)

    @property
    def metric(self) -> tuple[str, Goal | None] | None:
        """The sweep's metric and goal, if it names one."""
        metric = self.file.get("metric")
        if isinstance(metric, dict) and isinstance(metric.get("name"), str):
            goal = metric.get("goal")
            return metric["name"], goal if goal in ("minimize", "maximize") else None
        return None

    @property
    def target(self) -> float | None:
        """The value of the metric that the sweep calls good enough."""
        metric = self.file.get("metric")
        target = metric.get("target") if isinstance(metric, dict) else None
        return float(target) if isinstance(target, int | float) and not isinstance(target, bool) else None

    @property
    def name(self) -> str:
        """The sweep's name; its folder's where it has none."""
        name = self.file.get("name")
        return name if isinstance(name, str) and name else self.folder.resolve().name

    @property
    def description(self) -> str | None:
        """What the sweep file says of itself."""
        text = self.file.get("description")
        return text if isinstance(text, str) else None

    @property
    def expected(self) -> int | None:
        """How many trials the sweep asks for; None where the file does not bound it."""
        cap = self.file.get("run_cap")
        bounds = [cap] if isinstance(cap, int) else []
        if self.file.get("method") == "grid":
            sizes = [
                len(values)
                for law in self.parameters.values()
                if isinstance(values := law.get("values"), list)
            ]
            bounds += [math.prod(sizes)] if sizes else []
        return min(bounds, default=None)

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The sweep's parameters by dotted name, nested ones included, each with its values or law."""
        return dict(_leaves(self.file.get("parameters"), ""))


def _leaves(parameters: Any, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, law in parameters.items() if isinstance(parameters, dict) else ():
        if isinstance(law, dict) and isinstance(law.get("parameters"), dict):
            yield from _leaves(law["parameters"], f"{prefix}{name}.")
        elif isinstance(law, dict):
            yield f"{prefix}{name}", law
