"""What W&B's server says of a sweep, and what it is told."""

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lit_seq.errors import UserError
from lit_seq.sweep.command_line import check_command
from lit_seq.training.wandb_common import keep_quiet

_PATIENCE = 20


class Command(NamedTuple):
    """What the server wants of an agent.

    Attributes:
        kind: "run" (or "resume"), "stop" or "exit".
        run_id: which run is meant; empty for "exit".
        values: a run's values, as `wandb agent` gets them.
    """

    kind: str
    run_id: str
    values: dict[str, Any]


@dataclass(frozen=True)
class SweepPath:
    """Where a sweep lies at W&B; None is the login's default.

    Attributes:
        sweep: its id.
        project: its project.
        entity: its user or team.
    """

    sweep: str
    project: str | None
    entity: str | None

    @classmethod
    def of(cls, text: str, project: str | None, entity: str | None) -> "SweepPath":
        """Read ENTITY/PROJECT/ID, PROJECT/ID or ID.

        Raises:
            UserError: it is none of these.
        """
        parts = text.split("/")
        if not all(parts) or len(parts) > 3:
            raise UserError(f"The sweep {text!r} must be given as ENTITY/PROJECT/ID, PROJECT/ID or ID.")
        named: list[str | None] = [None, None, *parts]
        return cls(parts[-1], named[-2] or project, named[-3] or entity)

    def __str__(self) -> str:
        return "/".join(part for part in (self.entity, self.project, self.sweep) if part)


class Server:
    """A sweep at W&B's server.

    Args:
        path: where it lies.

    Attributes:
        path: where it lies, entity and project known.
        command: its `command`.
        program: its `program`.

    Raises:
        UserError: there is no login, the server does not answer or has no such sweep, or the sweep's command
            starts anything but `lit-seq fit`.
    """

    def __init__(self, path: SweepPath) -> None:
        import wandb

        if (mode := os.environ.get("WANDB_MODE", "online")) not in ("online", "run"):
            raise UserError(f"lit-seq agent works online alone, but WANDB_MODE is {mode!r}.")
        keep_quiet()
        # It logs a traceback whenever the server is away, and the next heartbeat is as good.
        logging.getLogger("wandb.apis.public.sweeps").setLevel(logging.CRITICAL)
        self.path = path
        host = wandb.setup().settings.base_url
        try:
            self._api = wandb.Api(timeout=_PATIENCE)
            entity, project = (
                path.entity or self._api.default_entity,
                path.project or self._api.settings["project"],
            )
            self.path = SweepPath(path.sweep, project, entity)
            content = self._sweep()
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise UserError(f"W&B at {host} does not give the sweep {self.path} ({reason}).") from error
        where = f"the sweep {self.path}"
        self.command = [str(word) for word in content.get("command") or []]
        self.program = content.get("program")
        if not self.command:
            raise UserError(
                f"{where} has no command; lit-seq agent takes sweeps whose command starts lit-seq fit."
            )
        check_command(self.command, self.program, [], where)

    def _sweep(self) -> dict[str, Any]:
        from wandb.apis.public.sweeps import _sweep_with_runs

        place = {"project": self.path.project, "entity": self.path.entity}
        return yaml.safe_load(_sweep_with_runs(self._api, self.path.sweep, "{}", **place)["config"])

    def register(self) -> str:
        """Register an agent and return its id.

        Raises:
            UserError: the server does not take it.
        """
        from wandb.apis.public.sweeps import _register_agent

        place = {"project": self.path.project, "entity": self.path.entity}
        try:
            return _register_agent(self._api, socket.gethostname(), sweep_id=self.path.sweep, **place)["id"]
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise UserError(f"W&B takes no agent for {self.path} ({reason}).") from error

    def beat(self, agent: str, run_id: str | None) -> list[Command]:
        """Say that an agent lives, and return what the server wants of it.

        Args:
            agent: its id.
            run_id: the run that it has; without one it may be given one.

        Returns:
            Nothing where the server is away.
        """
        from wandb.apis.public.sweeps import _agent_heartbeat
        from wandb.sdk.sweeps import SweepNotFoundError

        try:
            answers = _agent_heartbeat(self._api, agent, {}, {run_id: True} if run_id else {})
        except SweepNotFoundError:
            return [] if run_id else [Command("exit", "", {})]
        return [
            Command(
                answer["type"],
                answer.get("run_id", ""),
                {key: given["value"] for key, given in sorted(answer.get("args", {}).items())},
            )
            for answer in answers
        ]

    def close_runs(self, runs: Sequence[tuple[str, Path]], preempted: bool) -> None:
        """End runs that no worker can end: as failed, or so that they are handed out again.

        Args:
            runs: id and run folder.
            preempted: whether they are to be handed out again.
        """
        import wandb

        for run_id, folder in runs:
            try:
                run = wandb.init(
                    id=run_id,
                    resume="allow",
                    project=self.path.project,
                    entity=self.path.entity,
                    dir=folder,
                    mode="online",
                    reinit="create_new",
                    settings=wandb.Settings(
                        silent=True,
                        console="off",
                        init_timeout=_PATIENCE,
                        finish_timeout=_PATIENCE,
                        sweep_id=self.path.sweep,
                        x_disable_stats=True,
                    ),
                )
            except wandb.errors.Error:
                continue
            if preempted:
                run.mark_preempting()
            run.finish(exit_code=1)
