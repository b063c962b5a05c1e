"""The GRU's recurrence in Triton, with the reset gate behind the product."""

import triton
import triton.language as tl
from torch import Tensor

from lit_seq.scan.gpu.functions import block, operand, previous, product, share, streamed, tanh
from lit_seq.scan.gpu.launch import launch, tuned
from lit_seq.scan.operator import Loops


@tuned
@triton.jit
def _forward(
    projected, h_0, outputs, kept_rz, kept_n, kept_u, weight, time, batch, hidden,
    HIDDEN: tl.constexpr, PRECISION: tl.constexpr, ROWS: tl.constexpr, RESIDENT: tl.constexpr,
):  # fmt: skip
    trial, rows, units, before = share(HIDDEN, ROWS)
    inside = (rows < batch) & (units < hidden)
    weight += trial * 3 * hidden * hidden
    h = tl.load(h_0 + (trial * batch + rows) * hidden + units, inside, 0.0)
    if RESIDENT:
        u_r = block(weight, 0, units, before, hidden, PRECISION)
        u_z = block(weight, 1, units, before, hidden, PRECISION)
        u_n = block(weight, 2, units, before, hidden, PRECISION)
    for t in range(time):
        row = (trial * time + t) * batch + rows
        at, of_gates = row * hidden + units, row * 3 * hidden + units
        of_rz = row * 2 * hidden + units
        if RESIDENT:
            known = operand(h, PRECISION)
            r = product(known, u_r, PRECISION)
            z = product(known, u_z, PRECISION)
            u = product(known, u_n, PRECISION)
        else:
            first = (trial * batch + rows) * hidden
            left = previous(outputs, h_0, t, row * hidden, first, batch * hidden)
            r = streamed(left, weight, 0, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
            z = streamed(left, weight, 1, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
            u = streamed(left, weight, 2, rows < batch, units, hidden, True, HIDDEN, PRECISION, ROWS)
        r = tl.sigmoid(r + tl.load(projected + of_gates, inside, 0.0))
        z = tl.sigmoid(z + tl.load(projected + of_gates + hidden, inside, 0.0))
        n = tanh(tl.load(projected + of_gates + 2 * hidden, inside, 0.0) + r * u)
        h = n + z * (h - n)
        tl.store(kept_rz + of_rz, r, inside)
        tl.store(kept_rz + of_rz + hidden, z, inside)
        tl.store(kept_n + at, n, inside)
        tl.store(kept_u + at, u, inside)
        tl.store(outputs + at, h, inside)
        if not RESIDENT:
            tl.debug_barrier()


@tuned
@triton.jit
def _backward(
    outputs, h_0, kept_rz, kept_n, kept_u, grad_outputs, grad_h, deltas, deltas_u, grad_h_0,
    weight, time, batch, hidden,
    HIDDEN: tl.constexpr, PRECISION: tl.constexpr, ROWS: tl.constexpr, RESIDENT: tl.constexpr,
):  # fmt: skip
    trial, rows, units, of = share(HIDDEN, ROWS)
    inside = (rows < batch) & (units < hidden)
    weight += trial * 3 * hidden * hidden
    state = (trial * batch + rows) * hidden + units
    dh = tl.load(grad_h + state, inside, 0.0)
    if RESIDENT:
        u_r = block(weight, 0, of, units, hidden, PRECISION)
        u_z = block(weight, 1, of, units, hidden, PRECISION)
        u_n = block(weight, 2, of, units, hidden, PRECISION)
    for back in range(time):
        t = time - 1 - back
        row = (trial * time + t) * batch + rows
        at, of_gates = row * hidden + units, row * 3 * hidden + units
        of_rz = row * 2 * hidden + units
        r = tl.load(kept_rz + of_rz, inside, 0.0)
        z = tl.load(kept_rz + of_rz + hidden, inside, 0.0)
        n = tl.load(kept_n + at, inside, 0.0)
        u = tl.load(kept_u + at, inside, 0.0)
        earlier = tl.load(previous(outputs, h_0, t, at, state, batch * hidden), inside, 0.0)
        dh += tl.load(grad_outputs + at, inside, 0.0)
        dz = dh * (earlier - n) * z * (1 - z)
        dn = dh * (1 - z) * (1 - n * n)
        dr = dn * u * r * (1 - r)
        du = dn * r
        tl.store(deltas + of_gates, dr, inside)
        tl.store(deltas + of_gates + hidden, dz, inside)
        tl.store(deltas + of_gates + 2 * hidden, dn, inside)
        tl.store(deltas_u + at, du, inside)
        dh *= z
        if RESIDENT:
            dh += product(operand(dr, PRECISION), u_r, PRECISION)
            dh += product(operand(dz, PRECISION), u_z, PRECISION)
            dh += product(operand(du, PRECISION), u_n, PRECISION)
        else:
            tl.debug_barrier()
            for gate in range(2):
                own = deltas + row * 3 * hidden + gate * hidden
                dh += streamed(own, weight, gate, rows < batch, units, hidden, False, HIDDEN, PRECISION, ROWS)
            own = deltas_u + row * hidden
            dh += streamed(own, weight, 2, rows < batch, units, hidden, False, HIDDEN, PRECISION, ROWS)
    tl.store(grad_h_0 + state, dh, inside)


def forward(projected: Tensor, weight: Tensor, h: Tensor, before: bool) -> tuple[Tensor, ...]:
    """Return h of all steps, and r and z side by side, n, and U_n h_{t-1}."""
    projected, weight, h = (x.contiguous() for x in (projected, weight, h))
    time, batch = projected.shape[-3:-1]
    outputs, rz, n, u = (
        projected.new_empty(*projected.shape[:-1], count * h.shape[-1]) for count in (1, 2, 1, 1)
    )
    launch(_forward, [projected, h, outputs, rz, n, u], weight, batch, time)
    return outputs, rz, n, u


def backward(
    weight: Tensor,
    h_0: Tensor,
    outputs: Tensor,
    kept: tuple[Tensor, ...],
    dy: Tensor,
    dh: Tensor,
    before: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of W x + b, U_n h_{t-1} and h_0."""
    weight, h_0, outputs, dy, dh = (x.contiguous() for x in (weight, h_0, outputs, dy, dh))
    time, batch, hidden = outputs.shape[-3:]
    deltas = outputs.new_empty(*outputs.shape[:-1], 3 * hidden)
    deltas_u, grad_h = outputs.new_empty(outputs.shape), dh.new_empty(dh.shape)
    launch(_backward, [outputs, h_0, *kept, dy, dh, deltas, deltas_u, grad_h], weight, batch, time)
    return deltas, deltas_u, grad_h


LOOPS = Loops(forward, backward)
