"""Initial values of a cell's matrices, each gate's block drawn as a matrix of its own."""

from typing import Literal

import torch
from torch import Tensor, nn

Initialisation = Literal["glorot", "he", "orthogonal", "identity", "normal", "uniform"]


@torch.no_grad()
def initialise(weight: Tensor, gates: int, kind: Initialisation, scale: float, std: float) -> None:
    """Fill `weight` in place from torch's global generator.

    A matrix of (gates·hidden, inputs) holds one matrix a gate. Drawn as a whole it would be orthogonal, or
    have the fans, of none of them.

    Args:
        weight: (gates·hidden, inputs).
        gates: number of blocks.
        kind: "glorot": U(±√(6 / (inputs + hidden))), Glorot & Bengio 2010 eq. 16; "he": N(0, 2 / inputs),
            He et al. 2015 eq. 10; "orthogonal": Saxe et al. 2014; "identity": ones on the diagonal, Le,
            Jaitly & Hinton 2015; "normal": N(0, `std`²); "uniform": U(±1/√hidden), as `torch.nn.RNN`.
        scale: factor on the result.
        std: standard deviation of "normal".
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
            case "uniform":
                nn.init.uniform_(block, -(hidden**-0.5), hidden**-0.5)
        block.mul_(scale)
