"""Reading a checkpoint: safely, and with one sentence when it cannot be read."""

import zipfile
from pathlib import Path
from typing import Any

import lightning as L
import torch

from lit_seq.errors import UserError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running code from it.

    Raises:
        UserError: there is no such file, it is damaged, or it is no checkpoint of a LightningModule.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}.")
    others = sorted(other.name for other in path.parent.glob("*.ckpt") if other != path)
    hint = f" Beside it lies {' and '.join(others)}, untouched." if others else ""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UserError(f"The checkpoint {path} is damaged or cut short ({error}).{hint}") from None
    except OSError as error:
        raise UserError(f"The checkpoint {path} cannot be read ({error.strerror}).{hint}") from None
    except Exception as error:
        if "weights_only" not in str(error):
            raise
        raise UserError(
            f"The checkpoint {path} holds more than plain data, so it is not read.{hint}"
        ) from None
    if not isinstance(content, dict) or "state_dict" not in content:
        raise UserError(f"{path} is not a checkpoint: it holds no model.{hint}")
    return content


def class_path(checkpoint: dict[str, Any]) -> str | None:
    """Return the import path of the checkpoint's model, where its hyperparameters tell."""
    return checkpoint.get("hyper_parameters", {}).get("_class_path")


def load_model(path: Path, base: type[L.LightningModule]) -> L.LightningModule:
    """Build and fill the model of a checkpoint, which needs no data.

    Args:
        path: the checkpoint.
        base: class that the model must be of.

    Raises:
        UserError: see `read_checkpoint`; or the model is of another class.
    """
    named = class_path(read_checkpoint(path))
    if named is None:
        raise UserError(f"The checkpoint {path} does not say what model it is of; lit-seq's topologies do.")
    module, _, name = named.rpartition(".")
    try:
        model_class = getattr(__import__(module, fromlist=[name]), name)
    except (ImportError, AttributeError):
        raise UserError(f"The checkpoint {path} is of {named}, which cannot be imported here.") from None
    if not issubclass(model_class, base):
        raise UserError(f"The checkpoint {path} is of a {name}; this needs a {base.__name__}.")
    return model_class.load_from_checkpoint(path, map_location="cpu", weights_only=True)
