"""What the kernels share: functions in them."""

import triton
import triton.language as tl

SLICE = tl.constexpr(32)
"""Units of a slice of U, where U does not stay on the multiprocessor."""


@triton.jit
def share(HIDDEN: tl.constexpr, ROWS: tl.constexpr):
    """Return the program's trial, its rows as a column, and the units as a row and as a column."""
    trial = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    return trial, rows, tl.arange(0, HIDDEN)[None, :], tl.arange(0, HIDDEN)[:, None]


@triton.jit
def previous(of_steps, first, t, at, state, step):
    """Return where the values before step t stand: in those of all steps, or in the first ones.

    Args:
        of_steps: values behind each step.
        first: values before the first step.
        t: step.
        at: place of step t in the former.
        state: place in the latter.
        step: elements of a step.
    """
    return tl.where(t > 0, of_steps + at - step, first + state)


@triton.jit
def element(t, time, batch, hidden, elements, BLOCK: tl.constexpr):
    """Return the program's share of a step's elements.

    Args:
        t: step.
        time: steps.
        batch: rows of a trial.
        hidden: hidden units.
        elements: trials·batch·hidden.
        BLOCK: elements that a program takes.

    Returns:
        Whether each is one; its number, which is its place in a state (trials, batch, hidden); its row in
        (trials, time, batch); and its unit.
    """
    number = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    of_state = number // hidden
    row = (of_state // batch * time + t) * batch + of_state % batch
    return number < elements, number, row, number % hidden


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


@triton.jit
def streamed(
    left, weight, gate, inside, units, hidden,
    TRANSPOSED: tl.constexpr, HIDDEN: tl.constexpr, PRECISION: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Return a U_gate, or a U_gateᵀ if transposed, slice by slice, for a U that is too large.

    Args:
        left: where the rows of a begin, (rows, 1).
        weight: U, (gates·hidden, hidden).
        gate: number of the gate.
        inside: whether a row is one, (rows, 1).
        units: 0 … HIDDEN - 1, (1, HIDDEN).
        hidden: hidden units.
        TRANSPOSED: whether U is.
        HIDDEN: hidden units, rounded up.
        PRECISION: of the product.
        ROWS: rows.
    """
    total = tl.zeros((ROWS, HIDDEN), tl.float32)
    for start in range(0, HIDDEN, SLICE):
        across = start + tl.arange(0, SLICE)[None, :]
        down = start + tl.arange(0, SLICE)[:, None]
        a = operand(tl.load(left + across, inside & (across < hidden), 0.0), PRECISION)
        if TRANSPOSED:
            total += product(a, block(weight, gate, units, down, hidden, PRECISION), PRECISION)
        else:
            total += product(a, block(weight, gate, down, units, hidden, PRECISION), PRECISION)
    return total
