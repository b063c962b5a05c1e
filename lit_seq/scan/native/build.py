"""Compile the operators once for this machine, and keep them."""

import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).parent
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC")


class BuildError(Exception):
    """Why there are no native operators here: one clause, which `Choice.reason` shows."""


def library() -> Path:
    """Return the operators' shared library, compiled now if no earlier process has.

    It is kept in $XDG_CACHE_HOME/lit-seq (~/.cache/lit-seq) under a name made of the sources, the flags and
    the processor's features, so that machines that share a home folder do not share it. The compiler ($CXX,
    else c++) is no part of the name: a machine without one may use what another built.

    Raises:
        BuildError: there is no compiler, it fails, or the folder cannot be written.
    """
    flags = _flags()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit-seq"
    target = cache / f"operators-{_key(flags)}.so"
    if target.exists():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # The kernel drops the lock of a killed process; whoever comes next overwrites what it left.
        with target.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _compile(flags, target)
    except OSError as error:
        raise BuildError(f"{cache} cannot hold them ({error.strerror or error})") from None
    return target


def _flags() -> tuple[str, ...]:
    # torch's OpenMP is already in the process: sharing its threads, linked to nothing, avoids a second pool.
    return (*FLAGS, "-fopenmp") if hasattr(ctypes.CDLL(None), "GOMP_parallel") else FLAGS


def _key(flags: tuple[str, ...]) -> str:
    digest = hashlib.sha256(repr((flags, platform.machine(), _processor_features())).encode())
    for path in _sources("*.h", "*.cpp"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _processor_features() -> str:
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return " ".join(sorted(found[1].split())) if found else platform.processor()


def _sources(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in FOLDER.glob(pattern))


def _compile(flags: tuple[str, ...], target: Path) -> None:
    compiler = shutil.which(os.environ.get("CXX") or "c++")
    if compiler is None:
        raise BuildError(f"there is no C++ compiler ({os.environ.get('CXX') or 'c++'})")
    print("lit-seq: compiling the CPU operators, once, about 20 s …", file=sys.stderr, flush=True)
    parts = target.with_suffix(".parts")
    parts.mkdir(exist_ok=True)
    try:
        objects = [parts / f"{source.stem}.o" for source in _sources("*.cpp")]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            commands = [
                [compiler, *flags, "-c", str(FOLDER / f"{path.stem}.cpp"), "-o", str(path)]
                for path in objects
            ]
            list(pool.map(_run, commands))
        _run([compiler, "-shared", *map(str, objects), "-o", str(parts / "operators.so")])
        (parts / "operators.so").replace(target)
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        message = lines[0].strip() if lines else f"exit code {done.returncode}"
        raise BuildError(f"{command[0]} failed ({message[:200]})")
