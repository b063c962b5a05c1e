"""How a state depends on those long before it."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.func import vmap

from lit_seq.data.batch import Batch
from lit_seq.diagnostics.diagnostic import Diagnostic, Findings
from lit_seq.diagnostics.drawings import curves
from lit_seq.diagnostics.scans import Scan, scans
from lit_seq.errors import UserError
from lit_seq.topologies import Topology


class StateJacobians(Diagnostic):
    """Products of Jacobians along sequences: ‖∂h_T/∂h_t‖, and the Lyapunov spectrum of the trained net.

        ∂h_T/∂h_t = J_T J_{T-1} … J_{t+1},   J_k = ∂h_k/∂h_{k-1}

    (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, eq. 5). The spectral norm says how much of a disturbance
    of h_t is left, or has grown to, at a sequence's end T. The Lyapunov exponents λ_1 ≥ λ_2 ≥ … are the mean
    rates a step, in nats, at which such products stretch their directions: transposed Jacobians are applied
    to an orthogonal matrix, which is made orthogonal again at each step,

        J_kᵀ Q_k = Q_{k-1} R_k,   λ_i = 1/T Σ_k log |R_k,ii|

    (Benettin, Galgani, Giorgilli & Strelcyn 1980; for recurrent networks driven by data Vogt, Puelma Touzel,
    Shlizerman & Lajoie 2022, arXiv:2006.14123, section 2). They are those of finite time, along held-out
    sequences; their sum is that of log |det J_k| exactly. λ_1 > 0 is chaos; gradients explode at that rate.
    See `lit_seq.diagnostics.scans.Scan` for what h is.

    Arrays, for each cell that is scanned once, by its name:

        NAME/log_norm   log ‖∂h_T/∂h_t‖₂ in nats against T - t = 1, …, time, averaged over the sequences that
                        are as long; no product under- or overflows
        NAME/exponents  λ, averaged over sequences, (features of the state,)

    The number is `diagnostics/lyapunov_exponent`, the largest of all.

    Costs, for a state of S features, time times S backward steps, and a QR decomposition and singular values
    of an S × S matrix a step and sequence: 57 to 129 training steps of batch 64 on a CPU, of 64 to 256
    features (benchmarks/diagnostics.py), in a pack for each trial.

    Args:
        every: optimiser steps between two looks.
        sequences: how many are looked at.

    Raises:
        UserError: an option is below 1.
    """

    def __init__(self, every: int = 2000, sequences: int = 4) -> None:
        super().__init__(every)
        if sequences < 1:
            raise UserError(f"StateJacobians: sequences is {sequences}; it must be at least 1.")
        self.sequences = sequences

    def find(self, model: Topology, batches: Iterable[Batch]) -> Findings:
        """See the class."""
        norms, spectra = {}, {}
        for name, scan in scans(model, batches, self.sequences).items():
            norms[name], spectra[name] = products(scan)
        arrays = {f"{name}/log_norm": of_one for name, of_one in norms.items()}
        arrays |= {f"{name}/exponents": of_one for name, of_one in spectra.items()}
        base_10 = {name: of_one / math.log(10) for name, of_one in norms.items()}
        samples = [
            *curves("log₁₀ ‖∂h_T/∂h_t‖ against T - t", base_10),
            *curves("Lyapunov exponents in nats a step", spectra),
        ]
        largest = max(float(of_one[0]) for of_one in spectra.values())
        return Findings(arrays, {"lyapunov_exponent": largest}, samples)


def products(scan: Scan) -> tuple[Tensor, Tensor]:
    """Return log ‖∂h_T/∂h_t‖₂ against T - t, (time,), and the Lyapunov exponents, (features,)."""
    time, batch, features = scan.errors.shape
    # There are no decompositions in half precision.
    dtype = torch.promote_types(scan.errors.dtype, torch.float32)
    q = r = torch.eye(features, dtype=dtype, device=scan.errors.device).repeat(batch, 1, 1)
    log_scale, exponents = q.new_zeros(batch), q.new_zeros(batch, features)
    norms = []
    for t in reversed(range(time)):
        pull = scan.pull(slice(t, t + 1))
        # Each column of Q is pulled back: (features, time, batch, features).
        columns = q.permute(2, 0, 1).unsqueeze(1).to(scan.errors.dtype)
        pulled = vmap(lambda error, pull=pull: pull(error)[1])(columns)
        q_before, r_step = torch.linalg.qr(pulled.squeeze(1).permute(1, 2, 0).to(dtype))
        r_before = r_step @ r
        # The product's size is kept beside it, where it cannot overflow.
        size = r_before.abs().amax((1, 2)).clamp(min=torch.finfo(dtype).tiny)
        stretched = r_step.diagonal(dim1=-2, dim2=-1).abs().log()
        valid = scan.valid[t]
        q, r = (
            torch.where(valid.view(-1, 1, 1), after, before)
            for after, before in ((q_before, q), (r_before / size.view(-1, 1, 1), r))
        )
        log_scale = torch.where(valid, log_scale + size.log(), log_scale)
        exponents = torch.where(valid.unsqueeze(1), exponents + stretched, exponents)
        norms.append(log_scale + spectral_norms(r).log())
    lengths = scan.valid.sum(0)
    exponents = (exponents / lengths.unsqueeze(1)).mean(0).sort(descending=True).values
    return _against_distance(torch.stack(norms), lengths), exponents


def spectral_norms(matrices: Tensor) -> Tensor:
    """Return the largest singular value of each matrix, (…); NaN where a matrix is not finite."""
    finite = matrices.isfinite().all(-1).all(-1)
    largest = torch.linalg.svdvals(torch.where(finite[..., None, None], matrices, 0.0))[..., 0]
    return torch.where(finite, largest, torch.nan)


def _against_distance(norms: Tensor, lengths: Tensor) -> Tensor:
    """Average over sequences by the distance to their own ends, NaN where none is as long.

    Args:
        norms: (time, batch), from the last step of the longest backwards.
        lengths: steps of each sequence, (batch,).
    """
    time = len(norms)
    distance = torch.arange(time, device=norms.device).unsqueeze(1)
    steps = distance + (time - lengths)
    own = norms.gather(0, steps.clamp(max=time - 1))
    return torch.where(distance < lengths, own, torch.nan).nanmean(1)
