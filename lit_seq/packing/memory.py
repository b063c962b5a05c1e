"""How many trials fit into memory, from a measured step of one."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_CGROUP = Path("/sys/fs/cgroup")

_SHARE = 0.6
"""Part of the free memory that a pack may take: other workers, and steps that need more, have the rest."""


class TooLarge(Exception):
    """A pack does not fit into memory.

    Attributes:
        fits: how many of its trials do.
    """

    def __init__(self, fits: int) -> None:
        super().__init__(f"{fits} trials fit into memory")
        self.fits = fits


def step_bytes(loss: Callable[[], Tensor], parameters: int, device: torch.device) -> int:
    """Measure what a training step of one trial takes.

    On a GPU that is the allocator's peak over forward and backward pass. On a CPU, where freed memory stays
    with the process, it is what the forward pass leaves behind for the backward pass, twice: as much again
    flows back.

    Args:
        loss: does the forward pass of one trial.
        parameters: bytes of the trial's parameters, which gradient and optimiser need three times more.
        device: where it runs.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        loss().sum().backward()
        return torch.cuda.max_memory_allocated(device) - before + 3 * parameters
    with _Results() as results:
        held = loss()
    kept = results.alive_bytes()
    del held
    return 2 * kept + 3 * parameters


class _Results(TorchDispatchMode):
    """Keeps count of what operations allocate; torch.func's gradients allow no hook on what they save."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                self._seen[reference.cdata] = reference, storage.nbytes()
        return result

    def alive_bytes(self) -> int:
        """Return the size of all results that something still holds."""
        return sum(size for reference, size in self._seen.values() if not reference.expired())


def free_bytes(device: torch.device) -> int:
    """Return how much memory a pack may take on a device."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(_SHARE * (torch.cuda.mem_get_info(device)[0] + held))
    return int(_SHARE * min(_available(), _left_to_the_group()))


def _available() -> int:
    found = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _left_to_the_group() -> float:
    """Return what a container's limit leaves; infinity where there is none."""
    try:
        limit, used = ((_CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return float("inf")
    return float("inf") if limit == "max" else max(0, int(limit) - int(used))
