"""The W&B run that mirrors a run folder."""

import csv
import os
import shutil
import sys
import threading
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.errors import UserError
from lit_seq.run_folder import Status
from lit_seq.samples import from_line, views
from lit_seq.training.wandb_artifacts import log_model
from lit_seq.training.wandb_common import TOLD, keep_quiet, logged_in
from lit_seq.training.wandb_files import close_parts
from lit_seq.training.wandb_stop import ask_to_stop

Mode = Literal["auto", "online", "offline", "disabled"]

PATIENCE = 20.0
"""Seconds that W&B's server has to take a run; the environment's WANDB_INIT_TIMEOUT goes before."""

OFFLINE_PATIENCE = 300.0
"""The same without a server, where nothing but a crowded machine can take long."""

LAST_PATIENCE = 60.0
"""Seconds that W&B has to take the last rows of a run; the environment's WANDB_FINISH_TIMEOUT goes before."""

_STOPPED = """
query RunStoppedStatus($projectName: String, $entityName: String, $runId: String!) {
    project(name: $projectName, entityName: $entityName) { run(name: $runId) { stopped } }
}"""


@dataclass
class Wandb:
    """Where the run is mirrored at Weights & Biases.

    Attributes:
        project: W&B project; the environment's WANDB_PROJECT where this is not given.
        entity: W&B user or team; None means the login's default.
        group: name that the runs of one sweep share.
        mode: "auto" is online where there is a login and offline otherwise; the environment's WANDB_MODE
            goes before "auto". "disabled" makes no run.
        sweep: id of the W&B sweep that gave the run its values; `lit-seq agent` sets it.
        log_model: keep the run folder with its checkpoints at W&B, as the artifact model-RUN_ID, whenever the
            run ends or is interrupted.
    """

    project: str | None = None
    entity: str | None = None
    group: str | None = None
    mode: Mode = "auto"
    sweep: str | None = None
    log_model: bool = False

    def resolved_mode(self) -> str:
        """Return the mode with "auto" decided."""
        if self.mode != "auto":
            return self.mode
        return os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")


@cache
def _list_packages_once() -> None:
    """Let the runs of a process share the list of installed packages, which takes W&B the longest."""
    import wandb.util

    look = wandb.util.working_set
    wandb.util.working_set = cache(lambda: tuple(look()))


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
        job_type: what the run is for, where it does not train.
    """

    def __init__(
        self,
        folder: Path,
        settings: Wandb,
        run_id: str,
        config: dict[str, Any],
        job_type: str | None = None,
    ) -> None:
        super().__init__()
        self._job_type = job_type
        self._folder, self._settings, self._id, self._config = folder, settings, run_id, config
        self._run: Any = None
        self._row: dict[str, Any] = {}
        self._step = -1
        self._closing: threading.Thread | None = None
        self._taken = True

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
            keep_quiet()
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
        patience = PATIENCE if mode == "online" else OFFLINE_PATIENCE
        try:
            return wandb.init(
                id=self._id,
                resume="allow",
                # W&B finds better names than an id.
                name=None if self._folder.name == self._id else self._folder.name,
                project=self._settings.project or os.environ.get("WANDB_PROJECT", "lit-seq"),
                entity=self._settings.entity,
                group=self._settings.group,
                job_type=self._job_type,
                config=self._config,
                dir=self._folder,
                mode=mode,
                reinit="create_new",
                settings=wandb.Settings(
                    silent=True,
                    console="off",
                    init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", patience)),
                    finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", LAST_PATIENCE)),
                    finish_timeout_raises=True,
                    # W&B's own way is SIGINT, which would interrupt a whole pack.
                    stop_fn=partial(ask_to_stop, self._folder, "stopped at W&B"),
                    sweep_id=self._settings.sweep,
                ),
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

    def tell(self, status: Status) -> None:
        """Say in the run's summary what its folder says of its end, for reports that are made from W&B."""
        if self._run is not None:
            kept = ("state", "reason", "seconds", "step", "max_steps", "pack")
            self._run.summary[TOLD] = {name: getattr(status, name) for name in kept}

    def close(self, exit_code: int, preempted: bool = False) -> None:
        """Begin to end the run; `join` waits for the end.

        Args:
            exit_code: what W&B shows runs by: as finished if it is 0, as failed else.
            preempted: let W&B's server hand the run out again, if it is of a sweep.
        """
        if self._run is None:
            return
        self._send()
        if preempted:
            self._run.mark_preempting()
        if self._settings.log_model:
            log_model(self._run, self._folder)
        # What is left of a run may take its time: other trials of the process go on meanwhile.
        self._closing = threading.Thread(target=self._finish, args=(self._run, exit_code))
        self._closing.start()
        self._run = None

    def join(self) -> None:
        """Wait until the run has ended, for as long as W&B may take, and say what it did not take."""
        if self._closing is None:
            return
        self._closing.join()
        self._closing = None
        if not self._taken:
            parts = " ".join(str(part) for part in sorted((self._folder / "wandb").glob("run-*")))
            print(
                f"W&B has not taken all rows of this run; send them by:  wandb sync --no-skip-online {parts}",
                file=sys.stderr,
            )

    def stopped_by_agent(self) -> bool:
        """Tell whether `wandb agent` sent SIGTERM because the sweep stops this run: it gives no reason."""
        import wandb

        if self._run is None or self._run.offline or not os.environ.get("WANDB_SWEEP_ID"):
            return False
        variables = {
            "entityName": self._run.entity,
            "projectName": self._run.project,
            "runId": self._id,
        }
        try:
            answer = wandb.Api()._service_api.execute_graphql(_STOPPED, variables=variables, timeout=5)
            return bool(answer["project"]["run"]["stopped"])
        except Exception:  # whatever it is, the run may be handed out again
            return False

    def _finish(self, run: Any, exit_code: int) -> None:
        try:
            run.finish(exit_code=exit_code)
        except TimeoutError:
            self._taken = False

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
