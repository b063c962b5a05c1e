"""The sweeps that are broken, how they are started, and what they must come to."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import torch
import yaml
from wandb.proto.wandb_internal_pb2 import Record

from lit_seq.checkpoint_file import read_checkpoint
from lit_seq.run_folder import Status
from lit_seq.training.wandb_files import _records

HERE = Path(__file__).parent
_COMMON = [
    *("--data.batch_size", "4", "--trainer.log_every_n_steps", "3", "--checkpoint.every_steps", "5"),
    *("--model.core.hidden_size", "6", "--model.core.dropout", "0.2", "--lr_scheduler", "ExponentialLR"),
    *("--lr_scheduler.gamma", "0.97", "--trainer.gradient_clip_val", "1"),
]
KINDS = {
    # Packs which some trials leave early, each mirrored at W&B.
    "packs": (
        [
            *("--model", "ManyToOne", "--data", "faults_parts.SlowAdding", "--data.length", "6"),
            *("--data.validation_size", "4", "--data.train_batches", "12", "--trainer.max_steps", "96"),
            *("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"),
            *("--trainer.callbacks.patience=2",),
        ],
        {"model.core.cell": {"value": "GRU"}, "trainer.callbacks.min_delta": {"values": [0.5, 0.1, -1]}},
    ),
    # Trials alone, whose state is carried from batch to batch.
    "alone": (
        [
            *("--model", "LanguageModel", "--model.embedding_size", "4", "--data", "Shakespeare"),
            *("--data.chunk_length", "4", "--trainer.limit_train_batches", "25"),
            *(
                "--trainer.max_steps",
                "160",
                "--trainer.limit_val_batches",
                "1",
                "--trainer.callbacks+=faults_parts.Slow",
            ),
            *("--wandb.mode", "disabled"),
        ],
        {"seed_everything": {"values": [1, 2, 3]}},
    ),
}


@dataclass
class Sweep:
    """A sweep in a folder of its own, started again and again until it is done.

    Attributes:
        kind: one of `KINDS`.
        place: where its file and its runs lie.
        lost_rows: whether W&B was kept from writing.
    """

    kind: str
    place: Path
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)
    driver: subprocess.Popen[bytes] | None = None
    lost_rows: bool = False

    def __post_init__(self) -> None:
        options, parameters = KINDS[self.kind]
        self.place.mkdir(parents=True)
        content = {
            "method": "grid",
            "metric": {"name": "val/loss", "goal": "minimize"},
            "command": ["lit-seq", "fit", *options, *_COMMON, "--config", "${args_json_file}"],
            "parameters": parameters,
        }
        (self.place / "tiny.yaml").write_text(yaml.safe_dump(content))

    @property
    def folder(self) -> Path:
        return self.place / "runs" / "tiny"

    @property
    def clock(self) -> Path:
        return self.place / "clock"

    def start(self, workers: int) -> None:
        """Begin the sweep, or go on with it."""
        paths = [str(HERE / "clock"), str(HERE), str(HERE.parents[1])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "LIT_SEQ_FAULTS": self.marker,
            "LIT_SEQ_FAULTS_CLOCK": str(self.clock),
            "WANDB_MODE": "offline",
        }
        command = [
            sys.executable,
            "-m",
            "lit_seq",
            "sweep",
            "tiny.yaml",
            "--resume",
            "--workers",
            str(workers),
        ]
        with (self.place / "log.txt").open("ab") as log:
            self.driver = subprocess.Popen(
                command, cwd=self.place, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> str:
        return (self.place / "log.txt").read_text()

    def processes(self) -> list[int]:
        """Return all processes that the sweep has started, orphans included."""
        found, mark = [], f"LIT_SEQ_FAULTS={self.marker}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                lives = (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if lives and mark in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def workers(self) -> list[int]:
        """Return the workers."""
        return [one for one in self.processes() if b"lit_seq.sweep.worker" in _command(one)]

    def kill(self) -> None:
        """End everything at once."""
        for process in self.processes():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def statuses(self) -> dict[str, Status]:
        """Return the trials' status by their folders' names."""
        return {path.name: Status.read(path) for path in sorted(self.folder.glob("trials/*"))}

    def result(self) -> dict[str, Any]:
        """Return all that does not depend on time: by trial its end, metrics, samples and weights."""
        found = {}
        for name, status in self.statuses().items():
            folder = self.folder / "trials" / name
            checkpoint = read_checkpoint(folder / "checkpoints" / "last.ckpt")
            best = read_checkpoint(folder / "checkpoints" / "best.ckpt")
            found[name] = {
                "status": (status.state, status.reason, status.step, status.overrides, status.metrics),
                "metrics.csv": (folder / "metrics.csv").read_text(),
                "samples.jsonl": (folder / "samples.jsonl").read_text(),
                "weights": _digits([checkpoint["state_dict"], best["state_dict"]]),
                "optimizer": _digits([checkpoint["optimizer_states"][0]["state"]]),
            }
        return found

    def faults(self, expected: dict[str, Any]) -> list[str]:
        """Say what is wrong with a sweep that is done: nothing, if it survived."""
        wrong = []
        result = self.result()
        if sorted(result) != sorted(expected):
            wrong.append(f"trials {sorted(result)} instead of {sorted(expected)}")
        for name in result.keys() & expected.keys():
            parts = [part for part in expected[name] if result[name][part] != expected[name][part]]
            wrong += [f"{name}: {part} differs" for part in parts]
        wrong += [f"{path} was left behind" for path in self.folder.rglob(".*") if path.name != ".gitignore"]
        ends = Counter(self._ends())
        if sorted(ends) != list(range(len(expected))) or set(ends.values()) != {1}:
            wrong.append(f"the study has the trials {dict(ends)}")
        for name in result if self.kind == "packs" else ():
            wrong += [f"{name}: {one}" for one in self._wandb(name)]
        return wrong

    def _ends(self) -> list[int]:
        """Return the numbers of trials that wait, run or are over, but not those of failed attempts."""
        url = f"sqlite:///{self.folder / 'study.db'}"
        trials = optuna.load_study(study_name="tiny", storage=url).get_trials(deepcopy=False)
        return [t.user_attrs["number"] for t in trials if t.state is not optuna.trial.TrialState.FAIL]

    def _wandb(self, name: str) -> list[str]:
        folder, wrong, parts = self.folder / "trials" / name, [], []
        for path in folder.glob("wandb/offline-run-*/*.wandb"):
            records = [Record.FromString(content).history for _, content in _records(path.read_bytes())]
            parts.append([history.step.num for history in records if history.item])
        # Neither names nor times tell which came first, once the clock has jumped: but none may overlap.
        steps = [step for part in sorted(parts) for step in part]
        if steps != sorted(set(steps)):
            wrong.append("W&B's steps go back")
        logged = {
            int(line.partition(",")[0]) for line in (folder / "metrics.csv").read_text().splitlines()[1:]
        }
        if not self.lost_rows and not logged <= set(steps):
            wrong.append(f"W&B lacks steps {sorted(logged - set(steps))}")
        return wrong


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _digits(values: Any) -> str:
    """Return all numbers of a tree of tensors, exactly."""
    leaves = torch.utils._pytree.tree_leaves(values)
    return json.dumps([one.tolist() if isinstance(one, torch.Tensor) else one for one in leaves])
