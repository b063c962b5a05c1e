import pytest

from lit_seq.data import Parity, Task
from lit_seq.data.loader import generator


@pytest.mark.parametrize("length", [1, 2, 30])
def test_parity_counts_ones(length):
    bits, parity, lengths = Parity(length=length).generate(50, generator(1))[:3]
    steps, each, _ = Parity(length=length, each_step=True).generate(50, generator(1))[:3]
    assert lengths is None
    assert steps.tolist() == bits.tolist()
    for string, last, so_far in zip(bits.tolist(), parity.tolist(), each.tolist(), strict=True):
        assert last == string.count(1) % 2
        assert so_far == [string[: end + 1].count(1) % 2 for end in range(length)]


def test_bits_are_fair():
    bits, parity, _ = Parity(length=10).generate(40_000, generator(2))[:3]
    # 5 standard deviations of 40,000 fair draws
    assert (bits.float().mean(0) - 0.5).abs().max() < 5 * 0.5 / 200
    assert abs(parity.float().mean() - 0.5) < 5 * 0.5 / 200
    # a string without one of its bits says nothing
    without_last = bits[:, :-1].sum(1) % 2
    assert abs((without_last == parity).float().mean() - 0.5) < 5 * 0.5 / 200


def test_tasks():
    assert Parity().task == Task("tokens", 2, "classes", 2, "sequence", labels=("even", "odd"))
    assert Parity(each_step=True).task == Task("tokens", 2, "classes", 2, "step", labels=("even", "odd"))
