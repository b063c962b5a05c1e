"""The run folder: what a trial leaves behind, and the source of truth for every report.

RUNS_DIR/NAME/
    config.yaml      the full configuration that re-creates the run
    metrics.csv      columns step, epoch, then metrics; a row for each time that something was logged
    samples.jsonl    generated texts, one JSON object a line
    status.json      see `Status`
    checkpoints/     last.ckpt, previous.ckpt, best.ckpt
"""

import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from glob import escape
from pathlib import Path
from typing import IO, Any, Literal, get_args

from lit_seq.errors import UserError

State = Literal["queued", "running", "finished", "stopped", "diverged", "failed"]

# It can only be read by setting it, which no other thread may see: so once, as the module is loaded.
_UMASK = os.umask(0o022)
os.umask(_UMASK)

ENDED: tuple[State, ...] = ("finished", "stopped", "diverged", "failed")


@dataclass
class Status:
    """Content of status.json.

    Attributes:
        state: where the run stands; `ENDED` lists the states that nothing follows.
        reason: why it is there, one sentence, for stopped, diverged and failed.
        wandb_run_id: id of the W&B run that mirrors this folder.
        overrides: what the sweep set for this trial, dotted key to value.
        seed: the run's `seed_everything`.
        seconds: time spent training, resumed parts added up.
        step: optimiser steps done.
        max_steps: optimiser steps asked for; None when open-ended.
        metrics: the latest value of each metric.
        pack: trials, itself included, that trained as one stacked model in these seconds.
    """

    state: State = "queued"
    reason: str | None = None
    wandb_run_id: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    seconds: float = 0.0
    step: int = 0
    max_steps: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    pack: int = 1

    @property
    def share(self) -> float:
        """The trial's share of the seconds of its pack: what it cost."""
        return self.seconds / self.pack

    @classmethod
    def read(cls, folder: Path) -> "Status":
        """Read `folder`/status.json.

        Raises:
            UserError: the file is missing or is not what this class wrote.
        """
        path = folder / "status.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            status = cls(**{f.name: content[f.name] for f in fields(cls) if f.name in content})
        except FileNotFoundError:
            raise UserError(f"{folder} is not a run folder: it has no status.json.") from None
        except (ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}); a run's status is one JSON object.") from None
        if status.state not in get_args(State):
            raise UserError(f"{path}: state is {status.state!r}; allowed: {', '.join(get_args(State))}.")
        return status

    def write(self, folder: Path) -> None:
        """Replace `folder`/status.json."""
        with replacing(folder / "status.json") as file:
            json.dump(asdict(self), file, indent=1, default=str)


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """Open a text file that takes the place of `path` when the block ends without an exception."""
    with replacing_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.detach()


@contextmanager
def replacing_bytes(path: Path) -> Iterator[IO[bytes]]:
    """As `replacing`, for a binary file, which can be read as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_UMASK)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def remove_unfinished(folder: Path, *names: str) -> None:
    """Remove what a process that was killed in `replacing` left of files of these names."""
    for name in names:
        for path in folder.glob(f".{escape(name)}.*"):
            path.unlink(missing_ok=True)
