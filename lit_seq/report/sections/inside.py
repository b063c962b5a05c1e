"""What happens inside of the best configurations."""

from lit_seq.report import captions
from lit_seq.report.document import Document
from lit_seq.report.gradient_flow import MOST_POINTS, SHOWN, Flow, Quantity
from lit_seq.report.sections.block import Block, Cell, Section, columns, task_cell, task_title
from lit_seq.report.wording import metric_name, number

_TITLES: dict[Quantity, str] = {
    "gradient": "Gradients on their way back: ‖∂E/∂h_t‖",
    "jacobian": "What is left of a state: ‖∂h_T/∂h_t‖",
    "contribution": "Short- and long-term contributions: ‖C_ℓ‖",
}
_CAPTIONS: dict[Quantity, str] = {
    "gradient": (
        "Norm of the derivative of a held-out sequence's loss E by the state after step t, averaged over "
        "sequences. A line that falls to the left is a gradient that vanishes on its way back; one that "
        "rises explodes."
    ),
    "jacobian": (
        "Spectral norm of the product of T − t Jacobians: how much of a disturbance is left, or has grown "
        "to, that many steps later, at the end T of held-out sequences."
    ),
    "contribution": (
        "Norm of the part of ∂E/∂θ, of the cell's parameters θ, that comes from pairs of steps ℓ apart "
        "(Pascanu, Mikolov & Bengio 2013, eqs. 3–5): on the left what is short-term."
    ),
}
_ADD: dict[str, tuple[Quantity, str]] = {
    "GradientFlow": ("gradient", "∂E/∂h_t, and what of the gradient is short- and long-term"),
    "StateJacobians": ("jacobian", "∂h_T/∂h_t and Lyapunov exponents"),
}


def gradient_flow(document: Document) -> Section:
    """Show how gradients flow through time, and what else diagnostics saw."""
    blocks = [_split(document)] if document.splits else []
    blocks += [_flow(document, index, flow) for index, flow in enumerate(document.flows)]
    blocks += _panels(document)
    drawn = {flow.quantity for flow in document.flows}
    lacking = [name for name, (quantity, _) in _ADD.items() if quantity not in drawn]
    to_add = [f"--trainer.callbacks+={name} finds {_ADD[name][1]}" for name in lacking]
    missing = f"There is more to see if trials look at it while they train: {'; '.join(to_add)}."
    if blocks and lacking:
        blocks.append(Block(caption=missing))
    return Section("gradient_flow", "Gradient flow", blocks, missing)


def _flow(document: Document, index: int, flow: Flow) -> Block:
    several = len({one.cell for one in document.flows}) > 1
    title = _title(_TITLES[flow.quantity], flow.task, flow.cell if several else None)
    caption = _CAPTIONS[flow.quantity]
    if index == 0:
        configurations = len({row.label for row in document.rows})
        best = f" The best {SHOWN} configurations." if configurations > SHOWN else ""
        longest = max(len(line.x) for line in flow.lines)
        sparse = f" Of all steps {MOST_POINTS} are drawn." if longest == MOST_POINTS else ""
        caption += (
            " h is the whole state, (h, c) of an LSTM. Lines: geometric mean over the trials that count, or "
            "over all where none does; bands: from the lowest to the highest of them; a gap is exactly "
            "zero."
            f"{best}{sparse}"
        )
    return Block(title, f"gradient_flow-{index}", caption=caption)


def _panels(document: Document) -> list[Block]:
    """Draw what was logged along training, and say how once."""
    blocks: list[Block] = []
    told = ""
    for index, panel in enumerate(document.inside, len(document.flows)):
        title = _title(metric_name(panel.metric), panel.task)
        caption = captions.curves(panel)
        own = "" if caption == told else caption
        blocks.append(Block(title, f"gradient_flow-{index}", caption=own, axes=True))
        told = caption
    return blocks


def _split(document: Document) -> Block:
    several = len({one.cell for one in document.splits}) > 1
    rows = [
        [
            Cell(one.label),
            *task_cell(document, one.task),
            *([Cell(one.cell)] if several else []),
            Cell(f"{one.step:,}", one.step),
            Cell(f"{one.trials}", one.trials),
            _power(one.ratio),
            Cell("–" if one.long_term_share is None else f"{one.long_term_share:.1%}", one.long_term_share),
            Cell(number(one.exponent, 3), one.exponent),
        ]
        for one in document.splits
    ]
    titles = ["Configuration", *task_title(document), *(["Cell"] if several else [])]
    titles += [
        "Updates",
        "Trials",
        "First step's ‖∂E/∂h‖ over the last's",
        "Long-term share",
        "Lyapunov exponent",
    ]
    caption = (
        "Means over these trials, of the ratio geometric. Long-term share: norm of the contributions of "
        "steps at least ten apart (GradientFlow's short_term, if it was set) over its sum with that of the "
        "others. The largest Lyapunov exponent, in nats a step: above zero small disturbances grow."
    )
    return Block(None, None, columns(titles, numbers=5), rows, caption)


def _power(exponent: float | None) -> Cell:
    """Write a ratio that is known by its logarithm to base 10, and may be out of a number's range."""
    if exponent is None:
        return Cell("–")
    return Cell(number(10**exponent, 3) if abs(exponent) < 4 else f"10^{number(exponent, 3)}", exponent)


def _title(*parts: str | None) -> str:
    return ", ".join(filter(None, parts))
