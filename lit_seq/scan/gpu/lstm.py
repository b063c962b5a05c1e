"""The LSTM's recurrence in Triton."""

import triton
import triton.language as tl
from torch import Tensor

from lit_seq.scan.gpu.functions import block, operand, previous, product, share, streamed, tanh
from lit_seq.scan.gpu.launch import launch, tuned
from lit_seq.scan.operator import Loops


@tuned
@triton.jit
def _forward(
    projected, h_0, c_0, outputs, cells, gates, weight, time, batch, hidden,
    HIDDEN: tl.constexpr, PRECISION: tl.constexpr, ROWS: tl.constexpr, RESIDENT: tl.constexpr,
):  # fmt: skip
    trial, rows, units, before = share(HIDDEN, ROWS)
    inside = (rows < batch) & (units < hidden)
    weight += trial * 4 * hidden * hidden
    state = (trial * batch + rows) * hidden + units
    h = tl.load(h_0 + state, inside, 0.0)
    c = tl.load(c_0 + state, inside, 0.0)
    if RESIDENT:
        u_i = block(weight, 0, units, before, hidden, PRECISION)
        u_f = block(weight, 1, units, before, hidden, PRECISION)
        u_g = block(weight, 2, units, before, hidden, PRECISION)
        u_o = block(weight, 3, units, before, hidden, PRECISION)
    for t in range(time):
        row = (trial * time + t) * batch + rows
        at, of_gates = row * hidden + units, row * 4 * hidden + units
        if RESIDENT:
            known = operand(h, PRECISION)
            i = product(known, u_i, PRECISION)
            f = product(known, u_f, PRECISION)
            g = product(known, u_g, PRECISION)
            o = product(known, u_o, PRECISION)
        else:
            first = (trial * batch + rows) * hidden
            left = previous(outputs, h_0, t, row * hidden, first, batch * hidden)
            i = streamed(left, weight, 0, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
            f = streamed(left, weight, 1, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
            g = streamed(left, weight, 2, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
            o = streamed(left, weight, 3, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
        i = tl.sigmoid(i + tl.load(projected + of_gates, inside, 0.0))
        f = tl.sigmoid(f + tl.load(projected + of_gates + hidden, inside, 0.0))
        g = tanh(g + tl.load(projected + of_gates + 2 * hidden, inside, 0.0))
        o = tl.sigmoid(o + tl.load(projected + of_gates + 3 * hidden, inside, 0.0))
        c = f * c + i * g
        h = o * tanh(c)
        tl.store(gates + of_gates, i, inside)
        tl.store(gates + of_gates + hidden, f, inside)
        tl.store(gates + of_gates + 2 * hidden, g, inside)
        tl.store(gates + of_gates + 3 * hidden, o, inside)
        tl.store(cells + at, c, inside)
        tl.store(outputs + at, h, inside)
        if not RESIDENT:
            tl.debug_barrier()


@tuned
@triton.jit
def _backward(
    gates, cells, c_0, grad_outputs, grad_h, grad_c, deltas, grad_h_0, grad_c_0, weight, time, batch, hidden,
    HIDDEN: tl.constexpr, PRECISION: tl.constexpr, ROWS: tl.constexpr, RESIDENT: tl.constexpr,
):  # fmt: skip
    trial, rows, units, of = share(HIDDEN, ROWS)
    inside = (rows < batch) & (units < hidden)
    weight += trial * 4 * hidden * hidden
    state = (trial * batch + rows) * hidden + units
    dh = tl.load(grad_h + state, inside, 0.0)
    dc = tl.load(grad_c + state, inside, 0.0)
    if RESIDENT:
        u_i = block(weight, 0, of, units, hidden, PRECISION)
        u_f = block(weight, 1, of, units, hidden, PRECISION)
        u_g = block(weight, 2, of, units, hidden, PRECISION)
        u_o = block(weight, 3, of, units, hidden, PRECISION)
    c = tl.load(cells + ((trial * time + time - 1) * batch + rows) * hidden + units, inside, 0.0)
    for back in range(time):
        t = time - 1 - back
        row = (trial * time + t) * batch + rows
        at, of_gates = row * hidden + units, row * 4 * hidden + units
        i = tl.load(gates + of_gates, inside, 0.0)
        f = tl.load(gates + of_gates + hidden, inside, 0.0)
        g = tl.load(gates + of_gates + 2 * hidden, inside, 0.0)
        o = tl.load(gates + of_gates + 3 * hidden, inside, 0.0)
        earlier = tl.load(previous(cells, c_0, t, at, state, batch * hidden), inside, 0.0)
        dh += tl.load(grad_outputs + at, inside, 0.0)
        tanh_c = tanh(c)
        dc += dh * o * (1 - tanh_c * tanh_c)
        di = dc * g * i * (1 - i)
        df = dc * earlier * f * (1 - f)
        dg = dc * i * (1 - g * g)
        do = dh * tanh_c * o * (1 - o)
        dc *= f
        c = earlier
        tl.store(deltas + of_gates, di, inside)
        tl.store(deltas + of_gates + hidden, df, inside)
        tl.store(deltas + of_gates + 2 * hidden, dg, inside)
        tl.store(deltas + of_gates + 3 * hidden, do, inside)
        if RESIDENT:
            dh = product(operand(di, PRECISION), u_i, PRECISION)
            dh += product(operand(df, PRECISION), u_f, PRECISION)
            dh += product(operand(dg, PRECISION), u_g, PRECISION)
            dh += product(operand(do, PRECISION), u_o, PRECISION)
        else:
            tl.debug_barrier()
            dh = tl.zeros((ROWS, HIDDEN), tl.float32)
            for gate in range(4):
                own = deltas + row * 4 * hidden + gate * hidden
                dh += streamed(own, weight, gate, rows < batch, units, hidden, False, HIDDEN, PRECISION, ROWS)
    tl.store(grad_h_0 + state, dh, inside)
    tl.store(grad_c_0 + state, dc, inside)


def forward(
    projected: Tensor, weight: Tensor, peepholes: None, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return h and c of all steps, and the gates behind their functions."""
    projected, weight, h, c = (x.contiguous() for x in (projected, weight, h, c))
    time, batch = projected.shape[-3:-1]
    outputs, cells = (projected.new_empty(*projected.shape[:-1], h.shape[-1]) for _ in range(2))
    gates = projected.new_empty(projected.shape)
    launch(_forward, [projected, h, c, outputs, cells, gates], weight, batch, time)
    return outputs, cells, gates


def backward(
    weight: Tensor, peepholes: None, c_0: Tensor, kept: tuple[Tensor, ...], dy: Tensor, dh: Tensor, dc: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of W x + b, h_0 and c_0."""
    weight, c_0, dy, dh, dc = (x.contiguous() for x in (weight, c_0, dy, dh, dc))
    cells, gates = kept
    time, batch = gates.shape[-3:-1]
    deltas, grad_h, grad_c = (x.new_empty(x.shape) for x in (gates, dh, dc))
    launch(_backward, [gates, cells, c_0, dy, dh, dc, deltas, grad_h, grad_c], weight, batch, time)
    return deltas, grad_h, grad_c


LOOPS = Loops(forward, backward)
