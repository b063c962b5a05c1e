"""Launching kernels: block sizes, precision, grids."""

from typing import Any

import torch
import triton
from torch import Tensor

INTERPRETED = bool(triton.knobs.runtime.interpret)
"""Whether kernels run in Triton's interpreter."""

# The interpreter would multiply the bits of bf16 as integers.
PRECISIONS = {
    "highest": "tf32x3",
    "high": "tf32",
    "medium": "bf16 in float32" if INTERPRETED else "bf16",
}
"""How exact products are, by `torch.get_float32_matmul_precision`.

float32 is three products of tf32, whose sum is about as exact: Triton 3.9 ends the process where it compiles
these kernels with multiplications in float32.
"""

_CONFIGS = [
    triton.Config({"ROWS": rows, "RESIDENT": resident}, num_warps=warps, num_stages=1)
    for rows in (16, 32)
    for warps in (4, 8)
    for resident in (True, False)
]
"""Rows that a program takes, and whether it reads U once or at each step."""


def tuned(kernel: Any) -> Any:
    """Let a kernel have the fastest of `_CONFIGS`, found at the first call for its sizes and kept on disk.

    Those that ask for more memory than a multiprocessor has are left out. The interpreter, where speed says
    nothing, takes the first.
    """
    configs = _CONFIGS[:1] if INTERPRETED else _CONFIGS
    key = ["batch", "hidden", "PRECISION"]
    return triton.autotune(configs, key=key, cache_results=len(configs) > 1)(kernel)


def launch(kernel: Any, tensors: list[Tensor], weight: Tensor, batch: int, time: int, **options: Any) -> None:
    """Launch one program for each trial and block of rows.

    Args:
        kernel: takes the tensors, U, time, batch, hidden, and HIDDEN and PRECISION.
        tensors: dense, with the trials before all other dimensions where they are stacked.
        weight: U, (gates·hidden, hidden), likewise.
        batch: rows of a trial.
        time: steps.
        options: other constants of the kernel.
    """
    trials = weight.shape[0] if weight.dim() == 3 else 1
    hidden = weight.shape[-1]
    padded = max(32, triton.next_power_of_2(hidden))
    precision = PRECISIONS[torch.get_float32_matmul_precision()]

    def grid(chosen: dict[str, Any]) -> tuple[int, int]:
        return trials, triton.cdiv(batch, chosen["ROWS"])

    # Triton launches on the current device, which need not be the tensors'.
    with torch.cuda.device(weight.device if weight.is_cuda else -1):
        kernel[grid](*tensors, weight, time, batch, hidden, HIDDEN=padded, PRECISION=precision, **options)


def launch_elements(kernel: Any, tensors: list[Tensor], outputs: Tensor, t: int) -> None:
    """Launch a kernel over the elements of a step, which do not depend on one another.

    Args:
        kernel: takes the tensors, t, time, batch, hidden, elements, and BLOCK.
        tensors: dense, with the trials before all other dimensions where they are stacked.
        outputs: (time, batch, hidden), likewise.
        t: the step.
    """
    time, batch, hidden = outputs.shape[-3:]
    elements = outputs.numel() // time
    with torch.cuda.device(outputs.device if outputs.is_cuda else -1):
        grid = (triton.cdiv(elements, _BLOCK),)
        kernel[grid](*tensors, t, time, batch, hidden, elements, BLOCK=_BLOCK)


_BLOCK = 1024


def own(tensor: Tensor) -> Tensor:
    """Return a dense copy, which may be written to."""
    return tensor.clone(memory_format=torch.contiguous_format)
