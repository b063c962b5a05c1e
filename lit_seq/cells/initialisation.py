"""Initial values of a cell's parameters, each gate's block drawn as a matrix of its own."""

from typing import Literal

import torch
from torch import Tensor, nn

Initialisation = Literal["glorot", "he", "orthogonal", "identity", "normal", "sparse", "uniform"]

CONNECTIONS = 15
"""Entries of a row that are not zero in a "sparse" matrix."""


@torch.no_grad()
def initialise(
    weight: Tensor,
    gates: int,
    kind: Initialisation,
    scale: float,
    std: float,
    spectral_radius: float | None = None,
) -> None:
    """Fill `weight` in place from torch's global generator.

    A matrix of (gates·hidden, inputs) holds one matrix a gate. Drawn as a whole it would be orthogonal, or
    have the fans, of none of them.

    Args:
        weight: (gates·hidden, inputs).
        gates: number of blocks.
        kind: "glorot": U(±√(6 / (inputs + hidden))), Glorot & Bengio 2010 eq. 16; "he": N(0, 2 / inputs),
            He et al. 2015 eq. 10; "orthogonal": Saxe et al. 2014; "identity": ones on the diagonal, Le,
            Jaitly & Hinton 2015; "normal": N(0, `std`²); "sparse": the same in 15 entries of each row,
            drawn at random, and zero elsewhere, Martens 2010; "uniform": U(±1/√hidden), as `torch.nn.RNN`.
        scale: factor on the result.
        std: standard deviation of "normal" and "sparse".
        spectral_radius: of each block in the end; None leaves it as drawn.
    """
    hidden = weight.shape[0] // gates
    for block in weight.chunk(gates):
        match kind:
            case "glorot":
                nn.init.xavier_uniform_(block)
            case "he":
                nn.init.kaiming_normal_(block, nonlinearity="relu")
            case "orthogonal":
                nn.init.orthogonal_(block)
            case "identity":
                nn.init.eye_(block)
            case "normal":
                nn.init.normal_(block, std=std)
            case "sparse":
                nn.init.normal_(block, std=std)
                block[torch.rand_like(block).argsort(1) >= CONNECTIONS] = 0
            case "uniform":
                nn.init.uniform_(block, -(hidden**-0.5), hidden**-0.5)
        block.mul_(scale)
        if spectral_radius is not None:
            set_spectral_radius(block, spectral_radius)


@torch.no_grad()
def set_spectral_radius(matrix: Tensor, radius: float) -> None:
    """Scale a square matrix in place so that its largest eigenvalue has the modulus `radius`.

    Raises:
        ValueError: all eigenvalues are zero.
    """
    found = spectral_radius_of(matrix)
    if found == 0:
        raise ValueError("spectral_radius cannot be set: all eigenvalues of a recurrent matrix are zero.")
    matrix.mul_(radius / found)


@torch.no_grad()
def spectral_radius_of(matrix: Tensor) -> float:
    """Return the largest modulus of a square matrix's eigenvalues."""
    return torch.linalg.eigvals(matrix.double()).abs().max().item()


@torch.no_grad()
def draw_chrono_bias(bias: Tensor, longest: float) -> None:
    """Fill with log U(1, T_max - 1) the bias b of the gate σ that keeps a memory.

    Then the units' time constants 1 / (1 - σ(b)) = 1 + e^b are spread evenly from 2 to T_max (Tallec &
    Ollivier 2018, arXiv:1804.11188, eq. 16).

    Args:
        bias: (hidden,), filled in place from torch's global generator.
        longest: T_max, the longest dependency in steps, at least 2.
    """
    bias.uniform_(1.0, longest - 1.0).log_()
