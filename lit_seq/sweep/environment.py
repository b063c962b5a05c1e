"""Where and with what a sweep ran."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import lit_seq
from lit_seq.sweep.storage import without_password

_PACKAGES = ("lit-seq", "torch", "lightning", "wandb", "datasets", "optuna", "numpy")


def describe_environment() -> dict[str, Any]:
    """Return commit, versions, devices, command line and date, as plain data.

    The commit is that of the repository in which lit_seq lies, with "+" where it has changes that are not
    committed; None where it lies in none.
    """
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command_line(),
        "directory": str(Path.cwd()),
        "host": platform.node(),
        "commit": _commit(Path(lit_seq.__file__).parent),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "devices": devices(),
    }


def command_line(*further: str) -> str:
    """Return this process's command line and further words, as it may be shown: without passwords."""
    return shlex.join(without_password(word) for word in ("lit-seq", *sys.argv[1:], *further))


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices() -> list[str]:
    """Return what there is to compute on: the processor, and each visible GPU."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return [f"{_processor()}, {cores()} cores", *gpus]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit(folder: Path) -> str | None:
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return f"{commit}+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
