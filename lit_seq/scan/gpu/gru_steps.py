"""The GRU's recurrence for nets that no multiprocessor holds: products and a kernel at each step."""

import triton
import triton.language as tl
from torch import Tensor

from lit_seq.scan.gpu.functions import element, previous, tanh
from lit_seq.scan.gpu.launch import launch_elements, own
from lit_seq.scan.operator import Loops, multiply_add, steps


@triton.jit(do_not_specialize=["t"])
def _forward(
    projected, products, h_0, outputs, kept_rz, kept_n, kept_u,
    t, time, batch, hidden, elements, BLOCK: tl.constexpr,
):  # fmt: skip
    inside, state, row, unit = element(t, time, batch, hidden, elements, BLOCK)
    x, at, of_rz = projected + row * 3 * hidden + unit, row * hidden + unit, row * 2 * hidden + unit
    # `products` has this step only.
    known = products + 3 * (state - unit) + unit
    r = tl.sigmoid(tl.load(x, inside, 0.0) + tl.load(known, inside, 0.0))
    z = tl.sigmoid(tl.load(x + hidden, inside, 0.0) + tl.load(known + hidden, inside, 0.0))
    u = tl.load(known + 2 * hidden, inside, 0.0)
    n = tanh(tl.load(x + 2 * hidden, inside, 0.0) + r * u)
    h = tl.load(previous(outputs, h_0, t, at, state, batch * hidden), inside, 0.0)
    tl.store(kept_rz + of_rz, r, inside)
    tl.store(kept_rz + of_rz + hidden, z, inside)
    tl.store(kept_n + at, n, inside)
    tl.store(kept_u + at, u, inside)
    tl.store(outputs + at, n + z * (h - n), inside)


@triton.jit(do_not_specialize=["t"])
def _backward(
    outputs, h_0, kept_rz, kept_n, kept_u, grad_outputs, dh, deltas, deltas_u,
    t, time, batch, hidden, elements, BLOCK: tl.constexpr,
):  # fmt: skip
    inside, state, row, unit = element(t, time, batch, hidden, elements, BLOCK)
    of_gates, at, of_rz = row * 3 * hidden + unit, row * hidden + unit, row * 2 * hidden + unit
    r = tl.load(kept_rz + of_rz, inside, 0.0)
    z = tl.load(kept_rz + of_rz + hidden, inside, 0.0)
    n = tl.load(kept_n + at, inside, 0.0)
    u = tl.load(kept_u + at, inside, 0.0)
    earlier = tl.load(previous(outputs, h_0, t, at, state, batch * hidden), inside, 0.0)
    own = tl.load(dh + state, inside, 0.0) + tl.load(grad_outputs + at, inside, 0.0)
    dn = own * (1 - z) * (1 - n * n)
    tl.store(deltas + of_gates, dn * u * r * (1 - r), inside)
    tl.store(deltas + of_gates + hidden, own * (earlier - n) * z * (1 - z), inside)
    tl.store(deltas + of_gates + 2 * hidden, dn, inside)
    tl.store(deltas_u + at, dn * r, inside)
    tl.store(dh + state, own * z, inside)


def forward(projected: Tensor, weight: Tensor, h: Tensor, before: bool) -> tuple[Tensor, ...]:
    """Return h of all steps, and r and z side by side, n, and U_n h_{t-1}."""
    projected, h_0 = projected.contiguous(), h.contiguous()
    transposed, fused = weight.mT, multiply_add(weight)
    outputs, rz, n, u = (
        projected.new_empty(*projected.shape[:-1], count * h.shape[-1]) for count in (1, 2, 1, 1)
    )
    products = h.new_zeros(*h.shape[:-1], 3 * h.shape[-1])
    for t, y in enumerate(steps(outputs)):
        fused(products, h, transposed, beta=0, out=products)
        launch_elements(_forward, [projected, products, h_0, outputs, rz, n, u], outputs, t)
        h = y
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
    h_0, dy, dh, fused = h_0.contiguous(), dy.contiguous(), own(dh), multiply_add(weight)
    hidden = h_0.shape[-1]
    weight_rz, weight_n = weight.split((2 * hidden, hidden), -2)
    deltas = outputs.new_empty(*outputs.shape[:-1], 3 * hidden)
    deltas_u = outputs.new_empty(outputs.shape)
    parts = zip(steps(deltas[..., : 2 * hidden]), steps(deltas_u), strict=True)
    for t, (drz, du) in reversed([*enumerate(parts)]):
        launch_elements(_backward, [outputs, h_0, *kept, dy, dh, deltas, deltas_u], outputs, t)
        fused(dh, du, weight_n, out=dh)
        fused(dh, drz, weight_rz, out=dh)
    return deltas, deltas_u, dh


LOOPS = Loops(forward, backward)
