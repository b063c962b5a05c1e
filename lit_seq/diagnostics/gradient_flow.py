"""How gradients flow back through time."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.diagnostics.diagnostic import Diagnostic, Findings
from lit_seq.diagnostics.drawings import log_curves
from lit_seq.diagnostics.scans import Scan, scans
from lit_seq.errors import UserError
from lit_seq.topologies import Topology


class GradientFlow(Diagnostic):
    """Whether gradients vanish or explode on their way back through time, and what of them is long-term.

    With the loss E = Σ_t E_t, backpropagation through time sums over pairs of a step k that used the
    parameters θ of a cell and a later step t that the loss depends on,

        ∂E/∂θ = Σ_t Σ_{k≤t} ∂⁺E/∂h_t · ∂h_t/∂h_k · ∂⁺h_k/∂θ = Σ_ℓ C_ℓ,   ℓ = t - k,

    (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, eqs. 3–5), where ∂⁺ holds the state before constant and
    C_ℓ takes all pairs at the distance ℓ. Those of few steps are the short-term contributions, the others the
    long-term ones. Distances are those of a cell's own recurrence: what E depends on by way of other cells is
    ∂⁺E/∂h_t. See `lit_seq.diagnostics.scans.Scan` for what h is.

    Arrays, for each cell that is scanned once, by its name:

        NAME/gradient      ‖∂E/∂h_t‖ of a sequence, averaged over those that have a step t, (time,)
        NAME/contribution  ‖C_ℓ‖, (time,), beginning with ℓ = 0
        NAME/short_term    ‖Σ_{ℓ < short_term} C_ℓ‖
        NAME/long_term     ‖Σ_{ℓ ≥ short_term} C_ℓ‖

    t counts the steps of the scan. A sequence's gradient is that of its own loss where the loss is a mean
    over sequences. Numbers are `diagnostics/gradient_ratio`, the first step's ‖∂E/∂h_t‖ over the last one's,
    and `diagnostics/long_term_share`, long over long plus short; of several cells the largest counts.

    Costs one pass over the sequences in the plain loop, and time times the backward pass of all their steps:
    8 to 34 training steps of batch 64 on a CPU (benchmarks/diagnostics.py), in a pack for each trial.

    Args:
        every: optimiser steps between two looks.
        sequences: how many are looked at.
        short_term: steps that are counted as short.

    Raises:
        UserError: an option is below 1.
    """

    def __init__(self, every: int = 500, sequences: int = 8, short_term: int = 10) -> None:
        super().__init__(every)
        for name, value in (("sequences", sequences), ("short_term", short_term)):
            if value < 1:
                raise UserError(f"GradientFlow: {name} is {value}; it must be at least 1.")
        self.sequences, self.short_term = sequences, short_term

    def find(self, model: Topology, batches: Iterable[Batch]) -> Findings:
        """See the class."""
        arrays: dict[str, Tensor] = {}
        flows, spectra, ratios, shares = {}, {}, [], []
        for name, scan in scans(model, batches, self.sequences).items():
            flows[name], steps = gradient_norms(scan), int(scan.valid.any(1).sum())
            short = long = torch.zeros((), device=scan.errors.device)
            norms = []
            for distance, contribution in enumerate(contributions(scan)):
                norms.append(_norm(contribution))
                if distance < self.short_term:
                    short = short + contribution
                else:
                    long = long + contribution
            spectra[name] = torch.stack(norms)
            sums = {"short_term": _norm(short), "long_term": _norm(long)}
            ratios.append(float(flows[name][0] / flows[name][steps - 1]))
            shares.append(float(sums["long_term"] / sum(sums.values())))
            found = {"gradient": flows[name], "contribution": spectra[name], **sums}
            arrays |= {f"{name}/{quantity}": value for quantity, value in found.items()}
        samples = [
            *log_curves("log₁₀ ‖∂E/∂h_t‖ against t", flows),
            *log_curves("log₁₀ of the contribution of steps ℓ apart to the gradient, against ℓ", spectra),
        ]
        return Findings(arrays, {"gradient_ratio": max(ratios), "long_term_share": max(shares)}, samples)


def gradient_norms(scan: Scan) -> Tensor:
    """Return ‖∂E/∂h_t‖ of a sequence, averaged over those that have a step t, (time,); NaN where none has.

    E is taken as a mean over the batch: its derivative is that of a sequence's own loss over their number.
    """
    norms = _norm(scan.errors, -1) * scan.errors.shape[1]
    return norms.sum(1) / scan.valid.sum(1)


def contributions(scan: Scan) -> Iterator[Tensor]:
    """Yield C_ℓ for ℓ = 0, 1, …, time - 1, all parameters of the cell in one vector; see `GradientFlow`."""
    pull = scan.pull()
    # What E depends on directly is what does not come by the next step; of it rounding leaves no trace.
    _, by_next = pull(scan.errors)
    error = scan.errors - _earlier(by_next)
    direct = _norm(error, -1) > 32 * torch.finfo(error.dtype).eps * _norm(scan.errors, -1)
    error = torch.where(direct.unsqueeze(-1), error, 0.0)
    for _ in range(len(error)):
        by_parameters, by_states = pull(error)
        # A reservoir has no parameters.
        yield torch.cat([error.new_zeros(0), *(of_one.flatten() for of_one in by_parameters.values())])
        error = _earlier(by_states)


def _norm(vectors: Tensor, dim: int | None = None) -> Tensor:
    # In float32 the square of a vanishing gradient is zero, and that of an exploding one infinite.
    return torch.linalg.vector_norm(vectors, dim=dim, dtype=torch.float64)


def _earlier(by_states: Tensor) -> Tensor:
    """Turn what is by the state before each step into what is by the state after it."""
    return torch.cat([by_states[1:], torch.zeros_like(by_states[:1])])
