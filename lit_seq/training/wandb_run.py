"""The W&B run that mirrors a run folder."""

import netrc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

Mode = Literal["auto", "online", "offline", "disabled"]


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


def _logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        file = os.environ.get("NETRC") or str(Path.home() / ".netrc")
        return netrc.netrc(file).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WandbRun(Logger):
    """Lightning logger that mirrors rows into one W&B run, by the run's own step.

    Offline files lie in FOLDER/wandb, ready for `wandb sync`. A resumed run keeps its id, and rows that
    W&B has already are not sent twice, so that steps never go back.

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
        """The `wandb.Run`; the first use starts it."""
        if self._run is None:
            mode = self._settings.resolved_mode()
            if mode != "online":
                # Without this, W&B posts usage metrics even when offline.
                os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
            import wandb

            self._run = wandb.init(
                id=self._id,
                resume="allow",
                name=self._folder.name,
                project=self._settings.project or os.environ.get("WANDB_PROJECT", "lit-seq"),
                entity=self._settings.entity,
                group=self._settings.group,
                config=self._config,
                dir=self._folder,
                mode=mode,
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off"),
            )
            self._run.define_metric("*", step_metric="trainer/global_step")
            self._first_step = self._run.starting_step
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run starts with the full configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Mirror a row, unless W&B has it already."""
        run = self.experiment
        if step is not None and step >= self._first_step:
            run.log({**metrics, "trainer/global_step": step}, step=step)

    @rank_zero_only
    def log_samples(self, samples: list[dict[str, Any]], step: int) -> None:
        """Show generated texts as a table, the whole of it at each call."""
        import wandb

        columns = ["step", "moment", "prime", "temperature", "text"]
        table = wandb.Table(columns=columns, data=[[sample[name] for name in columns] for sample in samples])
        self.log_metrics({"samples": table}, step)  # type: ignore[dict-item]

    def close(self) -> None:
        """End the run with `exit_code`, so that W&B shows failed runs as failed."""
        if self._run is not None:
            self._run.finish(exit_code=self.exit_code)
            self._run = None
