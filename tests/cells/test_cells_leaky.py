"""Leak rates: spread over the units, learned within bounds, stacked; and what is refused."""

from typing import Any

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import Elman, Leaky
from lit_seq.packing.keys import pack_key
from lit_seq.scan import scan


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(
    ("leak", "rates"),
    [
        (0.3, [0.3] * 5),
        ([0.3], [0.3] * 5),
        ([0.9, 0.0009], [0.9 * 10 ** (-0.75 * k) for k in range(5)]),
        ([0.8, 0.2, 0.1], [0.8, 0.4, 0.2, 0.2 / 2**0.5, 0.1]),
        ([0.5, 0.1, 0.3, 0.2, 0.4], [0.5, 0.1, 0.3, 0.2, 0.4]),
    ],
)
def test_rates_are_spread_over_the_units(leak: Any, rates: list[float], learned: bool) -> None:
    assert Leaky(3, 5, leak, learned).rates().tolist() == pytest.approx(rates, rel=1e-5)


@pytest.mark.parametrize(
    ("leak", "learned", "sentence"),
    [
        (0.0, False, r"leak is 0.0; it must be above 0 and at most 1\."),
        (-0.1, False, "leak is -0.1; it must be above 0"),
        (1.5, False, "leak is 1.5; it must be above 0 and at most 1"),
        (float("nan"), False, "leak is nan; it must be"),
        (1.0, True, r"leak is 1.0; it must be above 0 and below 1 to be learned\."),
        ([0.5, 2.0], False, r"leak is \[0.5, 2.0\]; it must be"),
        ([], False, "leak has 0 values; it must have 1 to hidden_size, which is 5"),
        ([0.5] * 6, False, "leak has 6 values"),
    ],
)
def test_rates_out_of_range_are_refused(leak: Any, learned: bool, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^Leaky: {sentence}"):
        Leaky(3, 5, leak, learned)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus", "gelu"])
def test_without_leak_it_is_elmans_network(activation: str) -> None:
    torch.manual_seed(0)
    leaky, elman = Leaky(3, 5, 1, activation=activation), Elman(3, 5, activation)
    elman.load_state_dict({key: v for key, v in leaky.state_dict().items() if key != "leak_rate"})
    x, lengths = torch.randn(7, 4, 3), torch.tensor([7, 1, 3, 7])
    for found, expected in zip(scan(leaky, x, None, lengths), scan(elman, x, None, lengths), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


def test_a_learned_rate_stays_between_0_and_1() -> None:
    torch.manual_seed(0)
    cell = Leaky(3, 5, [0.9, 0.1], learned=True)
    optimizer = torch.optim.SGD(cell.parameters(), lr=100.0)
    for _ in range(20):
        optimizer.zero_grad()
        scan(cell, torch.randn(5, 4, 3))[0].sum().backward()
        assert cell.leak_logit.grad.isfinite().all()
        optimizer.step()
    assert cell.rates().ge(0).all()
    assert cell.rates().le(1).all()
    assert cell.rates().isfinite().all()


def test_trials_that_differ_in_their_rates_stack() -> None:
    torch.manual_seed(0)
    cells = [Leaky(3, 5, leak) for leak in (0.9, [0.5, 0.01], [0.1, 0.2, 0.3, 0.4, 0.5])]
    x = torch.randn(7, 4, 3)
    together = vmap(lambda p, b: functional_call(Scanned(cells[0]), (p, b), (x,)))(
        *stack_module_state([Scanned(cell) for cell in cells])
    )
    for found, cell in zip(together, cells, strict=True):
        torch.testing.assert_close(found, scan(cell, x)[0])
    keys = {pack_key(configuration(leak)) for leak in (0.9, [0.5, 0.01])}
    assert len(keys) == 1
    assert "model.core.cell.leak" in keys.pop().values


class Scanned(torch.nn.Module):
    def __init__(self, cell: Leaky) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return scan(self.cell, x)[0]


def configuration(leak: Any) -> dict[str, Any]:
    cell = {"class_path": "lit_seq.cells.Leaky", "init_args": {"leak": leak}}
    core = {"class_path": "lit_seq.cores.Stack", "init_args": {"cell": cell}}
    return {
        "trainer": {},
        "data": {"class_path": "lit_seq.data.AddingProblem", "init_args": {}},
        "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}},
        "model": {"class_path": "lit_seq.topologies.ManyToOne", "init_args": {"core": core}},
    }
