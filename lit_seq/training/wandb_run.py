"""The W&B run that mirrors a run folder."""

import csv
import os
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.errors import UserError
from lit_seq.samples import from_line, views
from lit_seq.training.wandb_files import close_parts

Mode = Literal["auto", "online", "offline", "disabled"]

PATIENCE = 20.0
"""Seconds that W&B's server has to take a run; the environment's WANDB_INIT_TIMEOUT goes before."""


@dataclass
class Wandb:
    """Where the run is mirrored at Weights & Biases.

    Attributes:
        project: W&B project; the environment's WANDB_PROJECT where this is not given.
        entity: W&B user or team; None means the login's default.
        group: name that the runs of one sweep share.
        mode: "auto" is online where there is a login and offline otherwise; the environment's WANDB_MODE
            goes before "auto". "disabled" makes no run.
    """

    project: str | None = None
    entity: str | None = None
    group: str | None = None
    mode: Mode = "auto"

    def resolved_mode(self) -> str:
        """Return the mode with "auto" decided."""
        if self.mode != "auto":
            return self.mode
        return os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")


@cache
def _list_packages_once() -> None:
    """Let the runs of a process share the list of installed packages, which takes W&B the longest."""
    import wandb.util

    look = wandb.util.working_set
    wandb.util.working_set = cache(lambda: tuple(look()))


def _logged_in() -> bool:
    import wandb

    # Which server is meant, and where its key may stand, is only known in there.
    from wandb.sdk.lib import wbauth

    host = wandb.setup().settings.base_url
    try:
        login = wbauth.authenticate_session(host=host, source="lit-seq", prompt=False, update_session=False)
    except wandb.errors.AuthenticationError:
        return True
    return login is not None


class WandbRun(Logger):
    """Lightning logger that mirrors rows into one W&B run, by the run's own step.

    Offline files lie in FOLDER/wandb, ready for `wandb sync`. A resumed run keeps its id. Rows of
    metrics.csv that W&B lost in a kill are sent again, and rows that it has already are not: steps never go
    back, and the offline files of a run that was killed add up to its history. A row goes out when the next
    one begins: W&B takes no part of a row later.

    Args:
        folder: the run folder.
        settings: project, group and mode.
        run_id: id of the run, kept over all resumptions.
        config: the full configuration.
    """

    def __init__(self, folder: Path, settings: Wandb, run_id: str, config: dict[str, Any]) -> None:
        super().__init__()
        self._folder, self._settings, self._id, self._config = folder, settings, run_id, config
        self._run: Any = None
        self._row: dict[str, Any] = {}
        self._step = -1
        self.exit_code = 0

    @property
    def name(self) -> str:
        """Lightning asks every logger for a name."""
        return self._folder.name

    @property
    def version(self) -> str:
        """The W&B run id."""
        return self._id

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The `wandb.Run`; the first use starts it.

        Raises:
            UserError: W&B cannot be reached, or refuses the login.
        """
        if self._run is None:
            # Without the first, W&B posts usage metrics even when offline; the second silences its greetings.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
            os.environ.setdefault("WANDB_SILENT", "true")
            mode = self._settings.resolved_mode()
            # A server knows what it has of a run; of an offline one, only the files tell.
            last_step = -1 if mode == "online" else close_parts(self._folder / "wandb", self._id)
            self._run = self._start(mode)
            self._run.define_metric("*", step_metric="trainer/global_step")
            self._first_step = max(last_step + 1, self._run.starting_step)
            for step, row in _rows(self._folder / "metrics.csv"):
                self.log_metrics(row, step)
            if not self._run.offline:
                print(f"W&B: {self._run.url}", file=sys.stderr)
        return self._run

    def _start(self, mode: Any) -> Any:
        import wandb

        _list_packages_once()
        existed = self._folder.exists()
        timeout = float(os.environ.get("WANDB_INIT_TIMEOUT", PATIENCE))
        try:
            return wandb.init(
                id=self._id,
                resume="allow",
                # W&B finds better names than an id.
                name=None if self._folder.name == self._id else self._folder.name,
                project=self._settings.project or os.environ.get("WANDB_PROJECT", "lit-seq"),
                entity=self._settings.entity,
                group=self._settings.group,
                config=self._config,
                dir=self._folder,
                mode=mode,
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", init_timeout=timeout),
            )
        except wandb.errors.Error as error:
            if not existed:
                shutil.rmtree(self._folder, ignore_errors=True)
            reason = " ".join(str(error).split()).rstrip(".")
            raise UserError(
                f"W&B at {wandb.setup().settings.base_url} does not take the run ({reason}); mend that or "
                "`wandb login`, or train without it by --wandb.mode offline."
            ) from None

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run starts with the full configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Mirror a row, unless W&B has it already."""
        _ = self.experiment
        if step is None:
            return
        if step != self._step:
            self._send()
            self._step = step
        self._row |= metrics

    @rank_zero_only
    def log_samples(self, lines: list[dict[str, Any]], step: int) -> None:
        """Show samples, lines of samples.jsonl, as a table, the whole of it at each call."""
        import wandb

        table = wandb.Table(columns=["step", "moment", "kind", "text", "view"])
        for line in lines:
            sample = from_line(line)
            view = wandb.Html(views.html(sample), inject=False)
            table.add_data(line["step"], line["moment"], line["kind"], views.text(sample), view)
        self.log_metrics({"samples": table}, step)

    def close(self) -> None:
        """End the run with `exit_code`, so that W&B shows failed runs as failed."""
        if self._run is not None:
            self._send()
            self._run.finish(exit_code=self.exit_code)
            self._run = None

    def _send(self) -> None:
        if self._row and self._step >= self._first_step:
            self._run.log({**self._row, "trainer/global_step": self._step}, step=self._step, commit=True)
        self._row = {}


def _rows(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Return step and metrics of each row that a resumed run keeps."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            (int(row.pop("step")), {name: float(value) for name, value in row.items() if value})
            for row in csv.DictReader(file)
        ]
