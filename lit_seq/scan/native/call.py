"""Calling the compiled operators on torch's memory."""

import ctypes
import os
from functools import cache

import torch
from torch import Tensor

from lit_seq.scan.native import build


class View(ctypes.Structure):
    """`View` of product.h: where a tensor lies, and its strides in elements."""

    _fields_ = [("data", ctypes.c_void_p)] + [(name, ctypes.c_int64) for name in ("trial", "step", "row")]


class Sizes(ctypes.Structure):
    """`Sizes` of product.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("trials", "time", "batch", "inputs", "hidden", "threads")]


def unavailable() -> str | None:
    """Return why there are no native operators in this process; None where there are.

    The first call compiles them, if no process has. `LIT_SEQ_NATIVE=0` in the environment turns them off.
    """
    if os.environ.get("LIT_SEQ_NATIVE") == "0":
        return "LIT_SEQ_NATIVE=0"
    loaded = _library()
    return loaded if isinstance(loaded, str) else None


def instructions() -> str:
    """Return the vector instructions that the operators were compiled for; there must be operators."""
    function = _library().instructions  # type: ignore[union-attr]
    function.restype = ctypes.c_char_p
    return function().decode()


@cache
def _library() -> ctypes.CDLL | str:
    try:
        return ctypes.CDLL(str(build.library()))
    except (build.BuildError, OSError) as error:
        return str(error)


def call(name: str, outputs: Tensor, x: Tensor, *tensors: Tensor | None) -> None:
    """Call an operator, which writes into some of its tensors.

    Args:
        name: without the type's name at its end.
        outputs: h_1 … h_T, (time, batch, hidden), or (trials, time, batch, hidden), as all have trials then.
        x: (time, batch, input), the first tensor of the C++ structure.
        tensors: the others in its order; those that are written have their features next to one another.
    """
    stacked = outputs.dim() == 4
    trials, time, batch, hidden = outputs.shape if stacked else (1, *outputs.shape)
    # Kept by name until the call is over: a copy may be all that holds its memory.
    laid = [t if t is None or t.stride(-1) == 1 else t.contiguous() for t in (x, *tensors)]
    views = [_view(tensor, stacked) for tensor in laid]
    function = getattr(_library(), f"{name}_{'float64' if outputs.dtype == torch.float64 else 'float32'}")
    function.restype = None
    sizes = Sizes(trials, time, batch, x.shape[-1], hidden, torch.get_num_threads())
    function(sizes, (View * len(views))(*views))


def _view(tensor: Tensor | None, stacked: bool) -> View:
    if tensor is None:
        return View(None, 0, 0, 0)
    strides = tensor.stride()[:-1]
    trial, strides = (strides[0], strides[1:]) if stacked else (0, strides)
    step, row = (0, 0, *strides)[-2:]
    return View(tensor.data_ptr(), trial, step, row)
