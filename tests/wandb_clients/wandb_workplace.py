"""A folder in which W&B's clients run against a server of our own."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from wandb_server import KEY, WandbServer

import lit_seq

BASE = {
    "model": {
        "class_path": "ManyToOne",
        "init_args": {"core": {"class_path": "Stack", "init_args": {"hidden_size": 4}}},
    },
    "data": {
        "class_path": "AddingProblem",
        "init_args": {"length": 10, "batch_size": 8, "validation_size": 16},
    },
    "trainer": {"max_steps": 20, "val_check_interval": 10, "log_every_n_steps": 5},
}


class Workplace:
    """A folder in which commands run with a home, a login and a network of their own.

    Attributes:
        folder: where commands run; base.yaml in it is a run of a second.
        environment: of the commands.
    """

    def __init__(self, folder: Path, server: WandbServer) -> None:
        self.folder = folder
        (folder / "home").mkdir()
        (folder / "bin").mkdir()
        command = folder / "bin" / "lit-seq"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m lit_seq "$@"\n')
        command.chmod(0o755)
        self.write("base.yaml", BASE)
        paths = [Path(lit_seq.__file__).parents[1], Path(__file__).parent]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        self.environment = inherited | {
            "HOME": str(folder / "home"),
            "NETRC": str(folder / "home" / ".netrc"),
            "PATH": os.pathsep.join([str(command.parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "OMP_NUM_THREADS": "1",
            # The compiled operators are there: building them anew for each test takes half a minute.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "WANDB_CACHE_DIR": str(folder / "home" / "cache"),
            "WANDB_DIR": str(folder / "home"),
            "WANDB_BASE_URL": server.url,
            "WANDB_API_KEY": KEY,
            # Whatever is meant for any other host comes to our server, which does not know it.
            **dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], server.url),
            **dict.fromkeys(["NO_PROXY", "no_proxy"], "127.0.0.1"),
        }

    def write(self, name: str, content: Any) -> None:
        """Write a YAML file."""
        (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False))

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(*command)
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def fit(self, *options: str, name: str = "one") -> subprocess.CompletedProcess[str]:
        """Run `lit-seq fit` in runs/NAME."""
        return self.run("lit-seq", "fit", "--config", "base.yaml", "--name", name, *options)

    def fit_and_kill(self, moment: Callable[[], bool], *options: str, name: str = "one") -> None:
        """Start `lit-seq fit` and kill it, as kill -9 does, once `moment` has come."""
        process = self.start("lit-seq", "fit", "--config", "base.yaml", "--name", name, *options)
        try:
            deadline = time.monotonic() + 60
            while not moment():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            process.kill()
        process.communicate(timeout=10)

    def status(self, name: str = "one") -> dict[str, Any]:
        """Return a run's status.json."""
        return json.loads((self.folder / "runs" / name / "status.json").read_text())

    def metrics(self, name: str = "one") -> dict[int, dict[str, float]]:
        """Return what metrics.csv holds of each step."""
        rows: dict[int, dict[str, float]] = {}
        with (self.folder / "runs" / name / "metrics.csv").open() as file:
            for row in csv.DictReader(file):
                values = {key: float(value) for key, value in row.items() if value and "/" in key}
                rows.setdefault(int(row["step"]), {}).update(values)
        return rows
