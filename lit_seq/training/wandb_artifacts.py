"""Run folders as W&B artifacts: kept there on request, and brought back to go on from or to look at."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lit_seq.errors import UserError
from lit_seq.training.wandb_common import keep_quiet

PREFIX = "wandb:"
"""What a checkpoint's name begins with that is an artifact."""

_FILES = ("config.yaml", "status.json", "metrics.csv", "samples.jsonl", "checkpoints/*.ckpt")


def log_model(run: Any, folder: Path) -> None:
    """Keep a run folder as the next version of the run's artifact model-RUN_ID.

    Args:
        run: the `wandb.Run`.
        folder: its run folder.
    """
    import wandb

    artifact = wandb.Artifact(f"model-{run.id}", type="model")
    files = [path for pattern in _FILES for path in sorted(folder.glob(pattern))]
    if not any(path.suffix == ".ckpt" for path in files):
        return
    for path in files:
        artifact.add_file(str(path), name=str(path.relative_to(folder)))
    run.log_artifact(artifact, aliases=["latest", "best"])


def with_artifact(arguments: Sequence[str], given: dict[str, str]) -> list[str]:
    """Let a command whose checkpoint is an artifact take it from a folder.

    `fit` goes on with the artifact's run, under the name that it had, or --name; others look at its best
    checkpoint.

    Args:
        arguments: a command line behind `lit-seq`.
        given: its options and their values.

    Raises:
        UserError: the artifact cannot be had, or its run is here already.
    """
    reference = given.get("--ckpt_path", "")
    if not reference.startswith(PREFIX):
        return list(arguments)
    runs_dir = Path(given.get("--runs_dir", "runs"))
    if arguments[0] == "fit":
        folder = fetched(reference, runs_dir, given.get("--name"))
        return [*arguments, "--ckpt_path", "last", "--name", folder.name]
    return [*arguments, "--ckpt_path", str(best_checkpoint(reference, runs_dir))]


def best_checkpoint(reference: str, runs_dir: Path) -> Path:
    """Return the best checkpoint of an artifact, or the last where there was no validation.

    It is brought to RUNS_DIR/NAME-VERSION once.

    Raises:
        UserError: the artifact cannot be had.
    """
    artifact = _found(reference)
    folder = runs_dir / f"{artifact.name.partition(':')[0]}-{artifact.version}"
    if not folder.exists():
        _download(artifact, folder)
    best = folder / "checkpoints" / "best.ckpt"
    return best if best.exists() else folder / "checkpoints" / "last.ckpt"


def fetched(reference: str, runs_dir: Path, name: str | None) -> Path:
    """Bring the run folder of an artifact back.

    Args:
        reference: such as "wandb:ENTITY/PROJECT/model-RUN_ID:latest".
        runs_dir: folder of the run folders.
        name: of the folder; None for the name that it had.

    Raises:
        UserError: the artifact cannot be had, or there is such a folder already.
    """
    artifact = _found(reference)
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "run"
        _download(artifact, made)
        config = yaml.safe_load((made / "config.yaml").read_text(encoding="utf-8"))
        folder = runs_dir / (name or Path(config.get("name") or artifact.name.partition(":")[0]).name)
        if (folder / "config.yaml").exists():
            raise UserError(
                f"{folder} holds a run already; go on with it by --ckpt_path last, or give another --name."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


def _found(reference: str) -> Any:
    name = reference.removeprefix(PREFIX)
    if not re.fullmatch(r"([^/:]+/){1,2}[^/:]+(:[^/:]+)?", name):
        raise UserError(
            f"{reference!r} names no artifact; it must be as wandb:ENTITY/PROJECT/model-RUN_ID:latest."
        )
    import wandb

    keep_quiet()
    try:
        return wandb.Api().artifact(name if ":" in name else f"{name}:latest", type="model")
    except (wandb.errors.Error, ValueError, OSError) as error:
        raise UserError(
            f"W&B does not give {reference}: {' '.join(str(error).split()).rstrip('.')}."
        ) from None


def _download(artifact: Any, folder: Path) -> None:
    """Download a run folder, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        made = Path(place) / "run"
        try:
            names = [Path(name) for name in artifact.manifest.entries]
            if any(name.is_absolute() or ".." in name.parts for name in names):
                raise UserError(f"The artifact {artifact.name} would write outside of its folder.")
            artifact.download(root=str(made))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"The artifact {artifact.name} cannot be downloaded: {error}.") from error
        if not (made / "config.yaml").exists() or not (made / "checkpoints").is_dir():
            raise UserError(f"The artifact {artifact.name} holds no run folder of lit-seq.")
        made.rename(folder)
