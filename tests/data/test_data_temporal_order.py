import re

import pytest
import torch

from lit_seq.data import Task, TemporalOrder
from lit_seq.data.loader import generator

WINDOWS = {2: [(0.10, 0.20), (0.50, 0.60)], 3: [(0.10, 0.20), (0.33, 0.43), (0.66, 0.76)]}


@pytest.mark.parametrize("relevant", [2, 3])
@pytest.mark.parametrize("length", [10, 25, 100])
def test_the_class_is_the_order_of_x_and_y(length, relevant):
    data = TemporalOrder(length=length, relevant=relevant)
    batch = data.generate(200, generator(length))
    assert batch.inputs.shape[1] == length + length // 10
    for tokens, target, steps in zip(*(part.tolist() for part in batch[:3]), strict=True):
        assert length <= steps <= 1.1 * length
        assert not any(tokens[steps:])
        text = "".join("EBabcdXY"[token] for token in tokens[:steps])
        assert re.fullmatch(r"E[abcdXY]*B", text)
        places = [place for place, symbol in enumerate(text) if symbol in "XY"]
        assert len(places) == relevant
        for place, (first, last) in zip(places, WINDOWS[relevant], strict=True):
            assert int(first * length + 1e-9) <= place <= int(last * length + 1e-9)
        assert data.task.labels[target] == "".join(text[place] for place in places)


def test_lengths_places_and_orders_are_spread_evenly():
    data = TemporalOrder(relevant=3)
    batch = data.generate(40_000, generator(3))
    # 5 standard deviations of 40,000 draws with probability 1/8, and of 1/11 from either side
    assert (torch.bincount(batch.targets, minlength=8) / 40_000 - 1 / 8).abs().max() < 5 * (
        7 / 64 / 4e4
    ) ** 0.5
    lengths = torch.bincount(batch.lengths - 100)
    assert len(lengths) == 11
    assert (lengths / 40_000 - 1 / 11).abs().max() < 5 * (10 / 121 / 4e4) ** 0.5
    relevant = (batch.inputs >= 6).float().mean(0)
    for first, last in WINDOWS[3]:
        window = relevant[round(100 * first) : round(100 * last) + 1]
        assert (window - 1 / 11).abs().max() < 5 * (10 / 121 / 4e4) ** 0.5


def test_tasks():
    labels = ("XX", "XY", "YX", "YY")
    assert TemporalOrder().task == Task("tokens", 8, "classes", 4, "sequence", labels=labels)
    assert TemporalOrder(relevant=3).task.target_size == 8
