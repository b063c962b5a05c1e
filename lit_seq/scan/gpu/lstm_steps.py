"""The LSTM's recurrence for nets that no multiprocessor holds: a product and a kernel at each step."""

import triton
import triton.language as tl
from torch import Tensor

from lit_seq.scan.gpu.functions import element, previous, tanh
from lit_seq.scan.gpu.launch import launch_elements, own
from lit_seq.scan.operator import Loops, multiply_add, steps


@triton.jit(do_not_specialize=["t"])
def _forward(gates, c_0, cells, outputs, t, time, batch, hidden, elements, BLOCK: tl.constexpr):
    inside, state, row, unit = element(t, time, batch, hidden, elements, BLOCK)
    of_gates, at = gates + row * 4 * hidden + unit, row * hidden + unit
    i = tl.sigmoid(tl.load(of_gates, inside, 0.0))
    f = tl.sigmoid(tl.load(of_gates + hidden, inside, 0.0))
    g = tanh(tl.load(of_gates + 2 * hidden, inside, 0.0))
    o = tl.sigmoid(tl.load(of_gates + 3 * hidden, inside, 0.0))
    c = f * tl.load(previous(cells, c_0, t, at, state, batch * hidden), inside, 0.0) + i * g
    tl.store(of_gates, i, inside)
    tl.store(of_gates + hidden, f, inside)
    tl.store(of_gates + 2 * hidden, g, inside)
    tl.store(of_gates + 3 * hidden, o, inside)
    tl.store(cells + at, c, inside)
    tl.store(outputs + at, o * tanh(c), inside)


@triton.jit(do_not_specialize=["t"])
def _backward(
    gates, cells, c_0, grad_outputs, dh, dc, deltas, t, time, batch, hidden, elements, BLOCK: tl.constexpr
):
    inside, state, row, unit = element(t, time, batch, hidden, elements, BLOCK)
    of_gates, at = row * 4 * hidden + unit, row * hidden + unit
    i = tl.load(gates + of_gates, inside, 0.0)
    f = tl.load(gates + of_gates + hidden, inside, 0.0)
    g = tl.load(gates + of_gates + 2 * hidden, inside, 0.0)
    o = tl.load(gates + of_gates + 3 * hidden, inside, 0.0)
    tanh_c = tanh(tl.load(cells + at, inside, 0.0))
    earlier = tl.load(previous(cells, c_0, t, at, state, batch * hidden), inside, 0.0)
    own = tl.load(dh + state, inside, 0.0) + tl.load(grad_outputs + at, inside, 0.0)
    total = tl.load(dc + state, inside, 0.0) + own * o * (1 - tanh_c * tanh_c)
    tl.store(deltas + of_gates, total * g * i * (1 - i), inside)
    tl.store(deltas + of_gates + hidden, total * earlier * f * (1 - f), inside)
    tl.store(deltas + of_gates + 2 * hidden, total * i * (1 - g * g), inside)
    tl.store(deltas + of_gates + 3 * hidden, own * tanh_c * o * (1 - o), inside)
    tl.store(dc + state, total * f, inside)


def forward(
    projected: Tensor, weight: Tensor, peepholes: None, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return h and c of all steps, and the gates behind their functions."""
    c, transposed, fused = c.contiguous(), weight.mT, multiply_add(weight)
    outputs, cells = (projected.new_empty(*projected.shape[:-1], h.shape[-1]) for _ in range(2))
    gates = projected.new_empty(projected.shape)
    for t, (x, ifgo, y) in enumerate(zip(*map(steps, (projected, gates, outputs)), strict=True)):
        fused(x, h, transposed, out=ifgo)
        launch_elements(_forward, [gates, c, cells, outputs], outputs, t)
        h = y
    return outputs, cells, gates


def backward(
    weight: Tensor, peepholes: None, c_0: Tensor, kept: tuple[Tensor, ...], dy: Tensor, dh: Tensor, dc: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of W x + b, h_0 and c_0."""
    cells, gates = kept
    c_0, dy, dh, dc = c_0.contiguous(), dy.contiguous(), own(dh), own(dc)
    deltas, fused = gates.new_empty(gates.shape), multiply_add(weight)
    for t, difgo in reversed([*enumerate(steps(deltas))]):
        launch_elements(_backward, [gates, cells, c_0, dy, dh, dc, deltas], dy, t)
        fused(dh, difgo, weight, beta=0, out=dh)
    return deltas, dh, dc


LOOPS = Loops(forward, backward)
