"""How many trials fit into memory, from a measured step of one."""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

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
    with the process, it is what the forward pass keeps for the backward pass, twice: as much again flows
    back.

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
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        # Held until all is counted: freed memory would be counted once for several tensors.
        held = loss()
    del held
    return 2 * sum(kept.values()) + 3 * parameters


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
