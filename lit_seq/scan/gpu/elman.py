"""Elman's recurrence in Triton, with tanh or ReLU."""

import triton
import triton.language as tl
from torch import Tensor

from lit_seq.scan.gpu.functions import block, operand, previous, product, share, streamed, tanh
from lit_seq.scan.gpu.launch import launch, tuned
from lit_seq.scan.operator import Loops


@tuned
@triton.jit
def _forward(
    projected, h_0, outputs, weight, time, batch, hidden,
    ACTIVATION: tl.constexpr, HIDDEN: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, RESIDENT: tl.constexpr,
):  # fmt: skip
    trial, rows, units, before = share(HIDDEN, ROWS)
    inside = (rows < batch) & (units < hidden)
    weight += trial * hidden * hidden
    h = tl.load(h_0 + (trial * batch + rows) * hidden + units, inside, 0.0)
    if RESIDENT:
        u = block(weight, 0, units, before, hidden, PRECISION)
    for t in range(time):
        row = (trial * time + t) * batch + rows
        at = row * hidden + units
        if RESIDENT:
            x = product(operand(h, PRECISION), u, PRECISION)
        else:
            first = (trial * batch + rows) * hidden
            left = previous(outputs, h_0, t, row * hidden, first, batch * hidden)
            x = streamed(left, weight, 0, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
        x += tl.load(projected + at, inside, 0.0)
        # NaN is not ≤ 0, and stays what it is; `tl.maximum` would hide it.
        h = tl.where(x <= 0, 0.0, x) if ACTIVATION == "relu" else tanh(x)
        tl.store(outputs + at, h, inside)
        if not RESIDENT:
            tl.debug_barrier()


@tuned
@triton.jit
def _backward(
    outputs, grad_outputs, grad_h, deltas, grad_h_0, weight, time, batch, hidden,
    ACTIVATION: tl.constexpr, HIDDEN: tl.constexpr, PRECISION: tl.constexpr,
    ROWS: tl.constexpr, RESIDENT: tl.constexpr,
):  # fmt: skip
    trial, rows, units, of = share(HIDDEN, ROWS)
    inside = (rows < batch) & (units < hidden)
    weight += trial * hidden * hidden
    state = (trial * batch + rows) * hidden + units
    dh = tl.load(grad_h + state, inside, 0.0)
    if RESIDENT:
        u = block(weight, 0, of, units, hidden, PRECISION)
    for back in range(time):
        row = (trial * time + time - 1 - back) * batch + rows
        at = row * hidden + units
        y = tl.load(outputs + at, inside, 0.0)
        dh += tl.load(grad_outputs + at, inside, 0.0)
        delta = tl.where(y <= 0, 0.0, dh) if ACTIVATION == "relu" else dh * (1 - y * y)
        tl.store(deltas + at, delta, inside)
        if RESIDENT:
            dh = product(operand(delta, PRECISION), u, PRECISION)
        else:
            tl.debug_barrier()
            left = deltas + row * hidden
            dh = streamed(left, weight, 0, rows < batch, units, hidden, False, HIDDEN, PRECISION, ROWS)
    tl.store(grad_h_0 + state, dh, inside)


def forward(projected: Tensor, weight: Tensor, h: Tensor, activation: str) -> Tensor:
    """Return h of all steps."""
    projected, weight, h = (x.contiguous() for x in (projected, weight, h))
    time, batch = projected.shape[-3:-1]
    outputs = projected.new_empty(projected.shape)
    launch(_forward, [projected, h, outputs], weight, batch, time, ACTIVATION=activation)
    return outputs


def backward(
    weight: Tensor, outputs: Tensor, dy: Tensor, dh: Tensor, activation: str
) -> tuple[Tensor, Tensor]:
    """Return the gradients of W x + b and h_0."""
    weight, outputs, dy, dh = (x.contiguous() for x in (weight, outputs, dy, dh))
    time, batch = outputs.shape[-3:-1]
    deltas, grad_h = outputs.new_empty(outputs.shape), dh.new_empty(dh.shape)
    launch(_backward, [outputs, dy, dh, deltas, grad_h], weight, batch, time, ACTIVATION=activation)
    return deltas, grad_h


LOOPS = Loops(forward, backward)
