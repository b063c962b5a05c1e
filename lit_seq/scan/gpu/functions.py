"""What the kernels share: functions in them."""

import triton
import triton.language as tl


@triton.jit
def tanh(x):
    """(1 - e^{-2|x|}) / (1 + e^{-2|x|}) with the sign of x, which never overflows."""
    e = tl.exp(-2 * tl.abs(x))
    return tl.where(x < 0, e - 1, 1 - e) / (1 + e)


@triton.jit
def operand(x, PRECISION: tl.constexpr):
    """Return x as it goes into a product."""
    if PRECISION == "bf16":
        return x.to(tl.bfloat16)
    elif PRECISION == "bf16 in float32":
        # Rounded to the nearest, as the interpreter's own conversion is not.
        bits = x.to(tl.uint32, bitcast=True)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).to(tl.float32, bitcast=True)
    else:
        return x


@triton.jit
def product(a, b, PRECISION: tl.constexpr):
    """Return a b in float32, of operands."""
    if PRECISION == "bf16":
        return tl.dot(a, b)
    elif PRECISION == "bf16 in float32":
        return tl.dot(a, b, input_precision="ieee")
    else:
        return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def block(weight, gate, rows, columns, hidden, PRECISION: tl.constexpr):
    """Return a gate's block of U, its elements at rows × columns; zero beyond the hidden units.

    Args:
        weight: U, (gates·hidden, hidden).
        gate: number of the gate.
        rows: units that the gate is of, as a column or a row.
        columns: units of h_{t-1}, the other way.
        hidden: hidden units.
        PRECISION: of the product.
    """
    inside = (rows < hidden) & (columns < hidden)
    return operand(tl.load(weight + (gate * hidden + rows) * hidden + columns, inside, 0.0), PRECISION)
