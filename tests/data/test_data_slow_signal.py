import math

import pytest

from lit_seq.data import SlowSignal, Task
from lit_seq.data.loader import generator


def test_task():
    expected = Task("vectors", 1, "classes", 4, "sequence", labels=("1", "2", "3", "4"))
    assert SlowSignal().task == expected


@pytest.mark.parametrize(("length", "classes"), [(5, 2), (9, 4), (64, 3)])
def test_the_class_is_the_number_of_swings(length, classes):
    batch = SlowSignal(length=length, classes=classes, noise=0).generate(30, generator(3))
    for sequence, target in zip(batch.inputs.squeeze(2).tolist(), batch.targets.tolist(), strict=True):
        # power of each whole number of swings, by the definition of the discrete Fourier transform
        power = [
            math.hypot(
                sum(x * math.cos(2 * math.pi * k * t / length) for t, x in enumerate(sequence)),
                sum(x * math.sin(2 * math.pi * k * t / length) for t, x in enumerate(sequence)),
            )
            for k in range(length // 2 + 1)
        ]
        assert power[target + 1] == pytest.approx(length / 2, rel=1e-4)
        assert sum(power) - power[target + 1] < 1e-3 * length


def test_no_step_tells_the_class_by_itself():
    batch = SlowSignal(length=32, validation_seed=4).generate(40_000, generator(4))
    for one in range(4):
        values = batch.inputs[batch.targets == one]
        count = len(values)
        # variance 1/2 of the wave and 1/4 of the noise; 5 standard deviations of 10,000 draws
        assert abs(count - 10_000) < 5 * math.sqrt(40_000 * 3 / 16)
        assert values.mean(0).abs().max() < 5 * math.sqrt(0.75 / count)
        assert (values.square().mean(0) - 0.75).abs().max() < 5 * math.sqrt(1.0 / count)
