"""A checkpoint's file: written whole, read safely, and with one sentence when it cannot be read.

It is the zip archive that torch writes, and the archive's comment is the SHA-256 of all that stands before
it: what reads the one reads the other. One without a comment is checked by the archive's own checksums.
"""

import errno
import hashlib
import io
import os
import pickle
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.errors import UserError
from lit_seq.run_folder import remove_unfinished, replacing_bytes

LAST, PREVIOUS, BEST = RESUMABLE = ("last.ckpt", "previous.ckpt", "best.ckpt")
"""A run's checkpoints, in the order in which it is gone on from."""

_MARK = b"sha256:"
_COMMENT = len(_MARK) + 2 * hashlib.sha256().digest_size


class Damaged(UserError):
    """A checkpoint is not what was written."""


def write_checkpoint(content: dict[str, Any], path: Path, previous: Path | None = None) -> None:
    """Write a checkpoint, and read it back before it takes the place of the one before.

    Args:
        content: the checkpoint.
        path: its file.
        previous: what the one before is kept as.

    Raises:
        OSError: the file cannot be written, or is not what was written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    # An archive without a comment ends with the comment's length (PKWARE's APPNOTE.TXT, 4.3.16).
    buffer.seek(-2, io.SEEK_END)
    buffer.write(_COMMENT.to_bytes(2, "little"))
    checksum = hashlib.sha256(buffer.getbuffer()).hexdigest()
    with replacing_bytes(path) as file:
        file.write(buffer.getbuffer())
        file.write(_MARK + checksum.encode())
        file.flush()
        os.fsync(file.fileno())
        if _checksums(file) != (checksum, checksum):
            raise OSError(errno.EIO, "What was written is not what is read", str(path))
        if previous is not None and path.exists():
            path.replace(previous)


def newest_good(folder: Path, trusted: bool = False) -> tuple[Path, dict[str, Any]] | None:
    """Find the checkpoint that a run can go on from, and say so if it is not the last one.

    Args:
        folder: the run folder.
        trusted: see `read_checkpoint`.

    Returns:
        The file and what it holds; None where there is none, or none that is good.

    Raises:
        UserError: a checkpoint cannot be read, or holds more than data.
    """
    damages = []
    for path in [folder / "checkpoints" / name for name in RESUMABLE]:
        if not path.exists():
            continue
        try:
            content = read_checkpoint(path, trusted)
        except Damaged as damage:
            damages.append(str(damage).rstrip("."))
            continue
        if path.name != LAST:
            damages = damages or [f"{folder} has lost its last checkpoint"]
            step = content["global_step"]
            print(f"{'; '.join(damages)}: going on from {path.name}, of step {step}.", file=sys.stderr)
        return path, content
    if damages:
        print(f"{'; '.join(damages)}.", file=sys.stderr)
    return None


def go_on_from(folder: Path, path: str | Path | None) -> Path | None:
    """Make a checkpoint the last one of a run, and forget those that came behind it.

    Args:
        folder: the run folder.
        path: the checkpoint, in the folder or elsewhere; None for a run that begins.

    Returns:
        The last checkpoint, if there is one.

    Raises:
        OSError: it cannot be copied.
    """
    last, previous, best = [folder / "checkpoints" / name for name in RESUMABLE]
    if getattr(rank_zero_only, "rank", 0):  # of several processes of a run, one keeps its folder
        return None if path is None else last
    remove_unfinished(folder, "config.yaml", "metrics.csv", "samples.jsonl", "status.json")
    remove_unfinished(last.parent, LAST, BEST)
    if path is None:
        for old in (last, previous, best):
            old.unlink(missing_ok=True)
        return None
    if Path(path).resolve() != last.resolve():
        with Path(path).open("rb") as source, replacing_bytes(last) as copy:
            shutil.copyfileobj(source, copy)
        previous.unlink(missing_ok=True)
    return last


def read_checkpoint(path: Path, trusted: bool = False) -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: the file.
        trusted: whether to run code from it, if it holds any: Python objects besides plain data.

    Raises:
        Damaged: the file is not what was written.
        UserError: there is no such file, it holds code and is not trusted, or it is no checkpoint of a
            LightningModule.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}.")
    try:
        with path.open("rb") as file:
            actual, stated = _checksums(file)
            if stated not in (None, actual):
                raise zipfile.BadZipFile("its checksum is wrong")
            if stated is None:
                with zipfile.ZipFile(file) as archive:
                    if damaged := archive.testzip():
                        raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=not trusted)
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise Damaged(f"The checkpoint {path} is damaged or cut short ({reason}).") from None
    except OSError as error:
        raise UserError(f"The checkpoint {path} cannot be read ({error.strerror}).") from None
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"Python objects ({named[1]})" if named else "more than plain data"
        raise UserError(
            f"The checkpoint {path} holds {what}, and to read them can run any code: it is not read. "
            "If you trust where it comes from, give --weights_only false."
        ) from None
    if not isinstance(content, dict) or "state_dict" not in content:
        raise UserError(f"{path} is not a checkpoint: it holds no model.")
    return content


def _checksums(file: IO[bytes]) -> tuple[str, str | None]:
    """Return the checksum that the file has, and the one that it states."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _COMMENT))
    mark, stated = (comment := file.read())[: len(_MARK)], comment[len(_MARK) :]
    file.seek(0)
    digest, left = hashlib.sha256(), size - len(comment)
    while left and (chunk := file.read(min(left, 1 << 20))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest(), stated.decode("latin-1") if mark == _MARK else None


def class_path(checkpoint: dict[str, Any]) -> str | None:
    """Return the import path of the checkpoint's model, where its hyperparameters tell."""
    return checkpoint.get("hyper_parameters", {}).get("_class_path")


def load_model(path: Path, base: type[L.LightningModule], trusted: bool = False) -> L.LightningModule:
    """Build and fill the model of a checkpoint, which needs no data.

    Args:
        path: the checkpoint.
        base: class that the model must be of.
        trusted: see `read_checkpoint`.

    Raises:
        UserError: see `read_checkpoint`; or the model is of another class.
    """
    named = class_path(read_checkpoint(path, trusted))
    if named is None:
        raise UserError(f"The checkpoint {path} does not say what model it is of; lit-seq's topologies do.")
    module, _, name = named.rpartition(".")
    try:
        model_class = getattr(__import__(module, fromlist=[name]), name)
    except (ImportError, AttributeError):
        raise UserError(f"The checkpoint {path} is of {named}, which cannot be imported here.") from None
    if not issubclass(model_class, base):
        raise UserError(f"The checkpoint {path} is of a {name}; this needs a {base.__name__}.")
    return model_class.load_from_checkpoint(path, map_location="cpu", weights_only=not trusted)
