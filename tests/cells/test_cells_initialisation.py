"""Initial values: what they are, gate by gate."""

import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_seq.cells import GRU, LSTM, Cell, Elman, Leaky
from lit_seq.cells.initialisation import set_spectral_radius
from lit_seq.cores import Stack

CELLS = [Elman, LSTM, GRU, Leaky]


def blocks(cell: Any, weight: Tensor) -> tuple[Tensor, ...]:
    return weight.detach().chunk(cell.gates)


@pytest.mark.parametrize("kind", CELLS)
def test_identity_is_exact_in_every_gate(kind: type[Cell[Any]]) -> None:
    cell = kind(3, 6, recurrent_init="identity", recurrent_scale=0.5)
    for block in blocks(cell, cell.weight_recurrent):
        assert torch.equal(block, 0.5 * torch.eye(6))


@pytest.mark.parametrize("kind", CELLS)
def test_orthogonal_is_orthogonal_per_gate(kind: type[Cell[Any]]) -> None:
    cell = kind(3, 6, recurrent_scale=2.0)
    drawn = blocks(cell, cell.weight_recurrent)
    for block in drawn:
        torch.testing.assert_close(block @ block.T, 4 * torch.eye(6))
    for a, b in itertools.pairwise(drawn):
        assert not torch.equal(a, b)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("options", "std", "bound"),
    [
        ({"input_init": "glorot"}, None, math.sqrt(6 / (200 + 100))),
        ({"input_init": "he"}, math.sqrt(2 / 200), None),
        ({"input_init": "normal"}, 0.001, None),
        ({"input_init": "normal", "input_std": 0.1}, 0.1, None),
        ({"input_init": "uniform"}, None, 1 / math.sqrt(100)),
    ],
)
def test_spread_of_the_input_weights(
    kind: type[Cell[Any]], options: dict[str, Any], std: float | None, bound: float | None
) -> None:
    torch.manual_seed(0)
    cell = kind(200, 100, **options)
    for block in blocks(cell, cell.weight_input):
        if bound is None:
            assert block.std().item() == pytest.approx(std, rel=0.03)
            assert block.abs().max() > 3 * std
        else:
            assert block.abs().max().item() == pytest.approx(bound, rel=0.01)
            assert block.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert abs(block.mean()) < 0.03 * (std or bound)


@pytest.mark.parametrize("kind", CELLS)
def test_recurrent_std_and_scale(kind: type[Cell[Any]]) -> None:
    torch.manual_seed(0)
    cell = kind(2, 100, recurrent_init="normal", recurrent_std=0.3)
    for block in blocks(cell, cell.weight_recurrent):
        assert block.std().item() == pytest.approx(0.3, rel=0.03)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("hidden", "connections"), [(100, 15), (6, 6)])
def test_sparse_has_fifteen_connections_a_unit(kind: type[Cell[Any]], hidden: int, connections: int) -> None:
    torch.manual_seed(0)
    cell = kind(2, hidden, recurrent_init="sparse", recurrent_std=0.3)
    for block in blocks(cell, cell.weight_recurrent):
        assert torch.equal((block != 0).sum(1), torch.full((hidden,), connections))
        if hidden > connections:
            assert (block != 0).sum(0).min() < connections < (block != 0).sum(0).max()
            assert block[block != 0].std().item() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("kind", CELLS)
def test_biases_start_at_zero_apart_from_the_forget_gate(kind: type[Cell[Any]]) -> None:
    expected = torch.zeros(kind(3, 4).gates * 4)
    if kind is LSTM:
        expected[4:8] = 1
        assert torch.equal(LSTM(3, 4, forget_bias=-2.5).bias[4:8], torch.full((4,), -2.5))
        assert torch.equal(LSTM(3, 4, peepholes=True).weight_peephole, torch.zeros(12))
    assert torch.equal(kind(3, 4).bias, expected)


def test_a_coupled_lstm_forgets_as_the_forget_bias_says() -> None:
    assert LSTM(3, 2, coupled=True, forget_bias=3).bias.tolist() == [3, 3, 0, 0, 0, 0]
    assert torch.equal(LSTM(3, 2, coupled=True, peepholes=True).weight_peephole, torch.zeros(4))


@pytest.mark.parametrize("coupled", [False, True])
def test_the_forget_bias_is_in_every_layer_and_direction(coupled: bool) -> None:
    core = Stack(
        3, partial(LSTM, forget_bias=2.5, coupled=coupled), hidden_size=4, layers=3, bidirectional=True
    )
    biases = [cell.bias.tolist() for layer in core.layers for cell in layer]
    assert biases == [[2.5] * 4 + [0] * 8 if coupled else [0] * 4 + [2.5] * 4 + [0] * 8] * 6


def log_uniform(bias: Tensor, longest: float) -> None:
    """log U(1, T - 1): e^b is uniform."""
    found = bias.detach().double().exp().sort().values
    assert found[0] >= 1
    assert found[-1] <= longest - 1 + 1e-3
    quantiles = 1 + (longest - 2) * (torch.arange(len(found)) + 0.5) / len(found)
    assert (found - quantiles).abs().max() < 0.05 * longest


def test_chrono_biases_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    i, f, g, o = LSTM(3, 4000, recurrent_init="normal", chrono=100).bias.detach().chunk(4)
    log_uniform(f, 100)
    assert torch.equal(i, -f)
    assert not g.any()
    assert not o.any()
    f, g, o = LSTM(3, 4000, recurrent_init="normal", chrono=100, coupled=True).bias.detach().chunk(3)
    log_uniform(f, 100)
    assert not g.any()
    assert not o.any()
    r, z, n = GRU(3, 4000, recurrent_init="normal", chrono=30).bias.detach().chunk(3)
    log_uniform(z, 30)
    assert not r.any()
    assert not n.any()
    assert LSTM(3, 4, chrono=2, forget_bias=7).bias.eq(0).all()


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chrono": 1}, "chrono is 1; it must be at least 2"),
        ({"chrono": math.nan}, "chrono is nan; it must be at least 2"),
        ({"chrono": 50, "bias": False}, "chrono is 50, but bias is False"),
    ],
)
def test_chrono_needs_a_bias_and_two_steps(
    kind: type[Cell[Any]], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{kind.__name__}: {sentence}"):
        kind(3, 4, **options)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("recurrent_init", ["normal", "uniform", "orthogonal", "he", "glorot", "identity"])
def test_the_spectral_radius_is_that_of_each_gate(kind: type[Cell[Any]], recurrent_init: str) -> None:
    torch.manual_seed(0)
    cell = kind(3, 20, recurrent_init=recurrent_init, spectral_radius=0.9)
    for block in blocks(cell, cell.weight_recurrent):
        largest = max(abs(np.linalg.eigvals(block.double().numpy())))
        assert largest == pytest.approx(0.9, rel=1e-5)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("radius", [0, -1.0, math.inf, math.nan])
def test_a_spectral_radius_is_positive(kind: type[Cell[Any]], radius: float) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: spectral_radius is {radius}; it must be above 0"):
        kind(3, 4, spectral_radius=radius)


def test_a_nilpotent_matrix_has_no_spectral_radius_to_scale() -> None:
    with pytest.raises(ValueError, match="all eigenvalues of a recurrent"):
        set_spectral_radius(torch.zeros(3, 3), 1.0)
    matrix = torch.tensor([[0.0, -2.0], [2.0, 0.0]], dtype=torch.float64)
    set_spectral_radius(matrix, 0.5)
    torch.testing.assert_close(matrix, torch.tensor([[0.0, -0.5], [0.5, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize("kind", CELLS)
def test_without_bias_there_is_none(kind: type[Cell[Any]]) -> None:
    assert {name for name, _ in kind(3, 4, bias=False).named_parameters()} == {
        "weight_input",
        "weight_recurrent",
    }


@pytest.mark.parametrize("kind", CELLS)
def test_the_global_seed_decides(kind: type[Cell[Any]]) -> None:
    def drawn(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return list(kind(3, 4).parameters())

    assert all(torch.equal(a, b) for a, b in zip(drawn(1), drawn(1), strict=True))
    assert not torch.equal(drawn(1)[0], drawn(2)[0])
    cell = kind(3, 4)
    torch.manual_seed(1)
    cell.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(cell.parameters(), drawn(1), strict=True))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("sizes", [(0, 4), (3, 0)])
def test_sizes_must_be_positive(kind: type[Cell[Any]], sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: .*_size is 0; it must be at least 1"):
        kind(*sizes)
