"""Kernels for stacked trials on a GPU, in Triton: LSTM, GRU, and Elman with tanh or ReLU.

Trials are independent, so each gets multiprocessors of its own, one for each block of its rows: a program
takes a trial and a block of rows through all steps, forward or backward, in one launch, with its state in
registers. Programs do not wait for one another. The projections W x + b and the gradients of matrices are
matrix products over all steps, outside of the kernels. U stays on the multiprocessor where it fits, and is
read slice by slice at each step where it does not, whichever is the faster.

No multiprocessor holds more than `LARGEST` units. A larger LSTM or GRU takes torch's product at each step,
and one kernel for all that its gates do, in place of nine operations forward and fourteen backward.

They are written for NVIDIA GPUs. They compile for an H100 (`python benchmarks/triton_kernels.py`), and have
run in Triton's interpreter (TRITON_INTERPRET=1) alone: what they compute is tested, how fast they are is not
known. Until it is, they are off, and LIT_SEQ_TRITON=1 in the environment turns them on.

Products are as exact as `torch.set_float32_matmul_precision` asks for: "highest" is float32, "high" tf32, and
"medium" has bf16 operands. State and sums are float32 in each.
"""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from lit_seq.scan.operator import Loops

LARGEST = 128
"""Hidden units that a multiprocessor's registers have room for."""


def unavailable(weight: Tensor) -> str | None:
    """Return why the kernels do not take a cell; None where they do.

    Args:
        weight: the cell's recurrent matrix, (gates·hidden, hidden).
    """
    if os.environ.get("LIT_SEQ_TRITON") != "1":
        return "the Triton kernels are off (LIT_SEQ_TRITON=1 turns them on)"
    if not _installed():
        return "Triton is not installed"
    if weight.device.type != "cuda" and not import_module("lit_seq.scan.gpu.launch").INTERPRETED:
        return "the Triton kernels are for a GPU"
    if weight.is_cuda and (torch.version.hip or torch.cuda.get_device_capability(weight.device) < (8, 0)):
        return "the Triton kernels are for NVIDIA GPUs of compute capability 8.0 or later"
    if weight.dtype != torch.float32:
        return f"the Triton kernels are not for {weight.dtype}"
    return None


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


def loops(cell: str, hidden: int) -> Loops:
    """Return the passes of "elman", "gru" or "lstm"; an Elman net has at most `LARGEST` hidden units."""
    return import_module(f"lit_seq.scan.gpu.{cell}{'' if hidden <= LARGEST else '_steps'}").LOOPS
