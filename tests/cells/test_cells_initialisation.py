"""Initial values: what they are, gate by gate."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_seq.cells import GRU, LSTM, Cell, Elman

CELLS = [Elman, LSTM, GRU]


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
def test_biases_start_at_zero_apart_from_the_forget_gate(kind: type[Cell[Any]]) -> None:
    expected = torch.zeros(kind(3, 4).gates * 4)
    if kind is LSTM:
        expected[4:8] = 1
        assert torch.equal(LSTM(3, 4, forget_bias=-2.5).bias[4:8], torch.full((4,), -2.5))
        assert torch.equal(LSTM(3, 4, peepholes=True).weight_peephole, torch.zeros(12))
    assert torch.equal(kind(3, 4).bias, expected)


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
    assert not torch.equal(drawn(1)[1], drawn(2)[1])
    cell = kind(3, 4)
    torch.manual_seed(1)
    cell.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(cell.parameters(), drawn(1), strict=True))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("sizes", [(0, 4), (3, 0)])
def test_sizes_must_be_positive(kind: type[Cell[Any]], sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: .*_size is 0; it must be at least 1"):
        kind(*sizes)
