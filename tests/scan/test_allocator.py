"""Memory that is freed is used again without page faults."""

import os
import platform
import subprocess
import sys

import pytest

from lit_seq.allocator import keep_freed_memory

COUNT = """
import resource, sys
import torch
from lit_seq.allocator import keep_freed_memory

done = sys.argv[1] == "on" and keep_freed_memory()
torch.set_num_threads(1)

def step():
    return float(torch.ones(10 * 2**20)[0])

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(30):
    step()
before = faults()
for _ in range(10):
    step()
print(done, faults() - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")


def count(mode: str, **variables: str) -> tuple[str, int]:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_", "LIT_SEQ_MALLOC"))
    }
    process = subprocess.run(
        [sys.executable, "-c", COUNT, mode],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    done, faults = process.stdout.split()
    return done, int(faults)


@glibc
def test_freed_memory_does_not_fault_again() -> None:
    """Ten steps with a tensor of 40 MiB, which is over what glibc ever keeps of its own accord (32 MiB).

    They are 102,400 faults of 4 KiB; where the system gives pages of 2 MiB they are 200. Until it settles,
    the heap grows for some steps, in which small pieces stay between the large ones.
    """
    without, kept, off = count("off"), count("on"), count("on", LIT_SEQ_MALLOC="0")
    assert (without[0], kept[0], off[0]) == ("False", "True", "False")
    assert min(without[1], off[1]) >= 200
    assert kept[1] * 5 < min(without[1], off[1])


def test_elsewhere_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()


def test_another_libc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIT_SEQ_MALLOC", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()
