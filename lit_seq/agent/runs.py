"""A run that W&B's server has handed out, as a trial of ours."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lit_seq.agent.server import Server
from lit_seq.configuration import parse, plain
from lit_seq.errors import UserError
from lit_seq.packing.function import Unpackable
from lit_seq.packing.keys import PackKey, pack_key
from lit_seq.packing.plan import Keys
from lit_seq.run_folder import Status
from lit_seq.sweep.command_line import fit_arguments
from lit_seq.sweep.search import dotted
from lit_seq.training.recording import disk_errors


@dataclass
class Handed:
    """A run of the sweep.

    Attributes:
        run_id: its id, which also names its folder.
        values: what the server has chosen.
        folder: its run folder.
        key: what runs must have in common to be stacked with it.
        alone: why it trains alone, if it does.
        pack: how many train as one with it, itself included.
    """

    run_id: str
    values: dict[str, Any]
    folder: Path
    key: str = ""
    alone: str | None = None
    pack: int = field(default=1)


class Orders:
    """Makes worker's orders of what the server hands out.

    Args:
        server: the sweep.
        runs_dir: folder of the run folders.
        stacked: train a run that comes by itself as a stack, too, where others could have come with it.
    """

    def __init__(self, server: Server, runs_dir: Path, stacked: bool) -> None:
        self._server, self._runs_dir, self._stacked = server, runs_dir, stacked
        self._keys = Keys(self._parse)

    def take(self, run_id: str, values: dict[str, Any]) -> Handed:
        """Lay down a run's folder, unless it was here before, and find what it can be stacked with.

        Raises:
            UserError: the folder cannot be written.
        """
        folder = self._runs_dir / Path(run_id).name
        run = Handed(run_id, values, folder)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "args.json").write_text(json.dumps(values), encoding="utf-8")
            if not (folder / "status.json").exists():
                Status(wandb_run_id=run_id, overrides=dotted(values)).write(folder)
        try:
            run.key = self._keys(values)
        except Unpackable as reason:
            run.key, run.alone = f"alone {run_id}", str(reason)
        except UserError:  # told when it trains
            run.key = f"wrong {run_id}"
        return run

    def order(self, number: int, run: Handed) -> dict[str, Any]:
        """Return what a worker is told; see `lit_seq.sweep.worker`."""
        arguments = self._arguments(run.values, run.folder, run.folder / "args.json")
        if (run.folder / "config.yaml").exists():
            arguments += ["--ckpt_path", "last"]
        log = str(run.folder / "log.txt")
        stacked = self._stacked and run.alone is None
        order: dict[str, Any] = {"number": number, "log": log, "arguments": arguments, "stacked": stacked}
        return order | {"alone": run.alone}

    def _arguments(self, values: dict[str, Any], folder: Path, json_file: Path) -> list[str]:
        path = self._server.path
        arguments = fit_arguments(
            self._server.command, self._server.program, values, json_file, f"the sweep {path}"
        )
        arguments += ["--runs_dir", str(folder.parent), "--name", folder.name]
        arguments += ["--wandb.sweep", path.sweep, "--wandb.mode", "online"]
        for option, value in (("--wandb.project", path.project), ("--wandb.entity", path.entity)):
            arguments += [option, value] if value else []
        return [*arguments, "--trainer.enable_progress_bar", "false"]

    def _parse(self, values: dict[str, Any]) -> PackKey:
        with TemporaryDirectory() as place:
            json_file = Path(place) / "args.json"
            json_file.write_text(json.dumps(values), encoding="utf-8")
            return pack_key(plain(parse(self._arguments(values, self._runs_dir / "0", json_file))))
