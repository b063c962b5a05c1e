"""Compile the operators once for this machine, and keep them."""

import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC")
TIMEOUT = 300
"""Seconds that one call of the compiler may take; it takes 4 on a slow core."""


class BuildError(Exception):
    """Why there are no native operators here: one clause, which `Choice.reason` shows."""


def library() -> Path:
    """Return the operators' shared library, compiled now if no earlier process has.

    It is kept in $XDG_CACHE_HOME/lit-seq (~/.cache/lit-seq) under a name made of the sources, the flags, the
    processor's features and the version of the compiler ($CXX, else c++). A machine without a compiler may
    use what another one built with any.

    Raises:
        BuildError: there is no compiler, it fails, or the folder cannot be written.
    """
    flags = _flags()
    key = _digest(repr((flags, platform.machine(), _processor_features())).encode(), *_contents())
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit-seq"
        compiler = _compiler()
        if compiler is None:
            return _built_elsewhere(cache, key)
        target = cache / f"operators-{key}-{_digest(_version(compiler))}.so"
        if not target.exists():
            _build(compiler, flags, target)
    except (OSError, RuntimeError, ValueError) as error:
        raise BuildError(f"they cannot be kept ({error})") from None
    return target


def _flags() -> tuple[str, ...]:
    # torch's OpenMP is already in the process: sharing its threads, linked to nothing, avoids a second pool.
    return (*FLAGS, "-fopenmp") if hasattr(ctypes.CDLL(None), "GOMP_parallel") else FLAGS


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]


def _contents() -> list[bytes]:
    return [path.read_bytes() for path in sorted([*FOLDER.glob("*.h"), *FOLDER.glob("*.cpp")])]


def _processor_features() -> str:
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return " ".join(sorted(found[1].split())) if found else platform.processor()


def _compiler() -> tuple[str, ...] | None:
    program, *options = shlex.split(os.environ.get("CXX") or "c++")
    path = shutil.which(program)
    return None if path is None else (path, *options)


def _version(compiler: tuple[str, ...]) -> bytes:
    return _run([*compiler, "--version"]).encode()


def _built_elsewhere(cache: Path, key: str) -> Path:
    for path in cache.glob(f"operators-{key}-*.so"):
        return path
    raise BuildError(f"there is no C++ compiler ({os.environ.get('CXX') or 'c++'})")


def _build(compiler: tuple[str, ...], flags: tuple[str, ...], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Whoever waits for the lock finds the library. The kernel drops the lock of a killed process, and where
    # locks do nothing two processes compile, each in a folder of its own.
    with (target.parent / "lock").open("w") as lock, TemporaryDirectory(dir=target.parent) as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return
        print("lit-seq: compiling the CPU operators, once, a few seconds …", file=sys.stderr, flush=True)
        sources = sorted(FOLDER.glob("*.cpp"))
        objects = [f"{folder}/{source.stem}.o" for source in sources]
        made = f"{folder}/operators.so"
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            commands = [
                [*compiler, *flags, "-c", str(source), "-o", path]
                for source, path in zip(sources, objects, strict=True)
            ]
            list(pool.map(_run, commands))
        _run([*compiler, "-shared", *objects, "-o", made])
        try:
            ctypes.CDLL(made)
        except OSError as error:
            raise BuildError(f"{compiler[0]} made what does not load ({error})") from None
        os.replace(made, target)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} does not run ({error})") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        message = lines[0].strip() if lines else f"exit code {done.returncode}"
        raise BuildError(f"{command[0]} failed ({message[:200]})")
    return done.stdout
