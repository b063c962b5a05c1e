"""The copy and repeat-copy tasks of the neural Turing machine."""

import math

import pytest
import torch

from lit_seq.data import IGNORED, NTMCopy, RepeatCopy, Task
from lit_seq.data.loader import generator
from lit_seq.topologies.bits import compare_bits


@pytest.mark.parametrize(("fewest", "most", "width"), [(1, 1, 1), (1, 5, 8), (3, 3, 2), (20, 20, 8)])
def test_copy_asks_for_the_vectors_after_the_mark(fewest, most, width):
    data = NTMCopy(min_length=fewest, max_length=most, width=width)
    inputs, targets, lengths = data.generate(60, generator(1))[:3]
    seen = set()
    for shown, wanted, steps in zip(inputs.tolist(), targets.tolist(), lengths.tolist(), strict=True):
        count = [row[width] for row in shown].index(1)
        seen.add(count)
        vectors = [row[:width] for row in shown[:count]]
        assert {bit for vector in vectors for bit in vector} <= {0, 1}
        blank = [[0] * (width + 1)] * (2 * most - count)
        assert shown == [[*vector, 0] for vector in vectors] + [[0] * width + [1]] + blank
        nothing = [[IGNORED] * width]
        assert wanted == nothing * (count + 1) + vectors + nothing * (2 * (most - count))
        assert steps == 2 * count + 1
    assert seen == set(range(fewest, most + 1))


@pytest.mark.parametrize(("fewest", "most", "least", "times", "width"), [(1, 1, 1, 1, 1), (2, 4, 2, 5, 3)])
def test_repeat_copy_asks_for_the_vectors_again_and_again(fewest, most, least, times, width):
    data = RepeatCopy(min_length=fewest, max_length=most, min_repeats=least, max_repeats=times, width=width)
    inputs, targets, lengths = data.generate(120, generator(1))[:3]
    longest = most * (1 + times) + 2
    seen = set()
    for shown, wanted, steps in zip(inputs.tolist(), targets.tolist(), lengths.tolist(), strict=True):
        count = [row[width] for row in shown].index(1)
        repeats = round(shown[count][width + 1] * math.sqrt(99 / 12) + 5.5)
        seen.add((count, repeats))
        vectors = [row[:width] for row in shown[:count]]
        assert shown[:count] == [[*vector, 0, 0] for vector in vectors]
        assert shown[count][:width] == [0] * width
        assert shown[count + 1 :] == [[0] * (width + 2)] * (longest - count - 1)
        answer = [[*vector, 0] for vector in vectors] * repeats + [[0] * width + [1]]
        nothing = [[IGNORED] * (width + 1)]
        assert wanted == nothing * (count + 1) + answer + nothing * (longest - len(answer) - count - 1)
        assert steps == count + 1 + len(answer)
    assert seen == {(n, r) for n in range(fewest, most + 1) for r in range(least, times + 1)}


def test_repeats_are_normalised_as_in_the_paper():
    inputs = RepeatCopy(max_length=1).generate(40_000, generator(1)).inputs
    numbers = inputs[:, 1, -1]
    # 5 standard deviations of the mean of 40,000 draws; the square has the variance of a uniform number's
    assert abs(numbers.mean()) < 5 / 200
    assert abs(numbers.square().mean() - 1) < 5 * 0.9 / 200


def test_an_answer_without_memory_costs_a_bit_a_bit():
    data = NTMCopy(max_length=5, width=8)
    _, targets, lengths = data.generate(20_000, generator(2))[:3]
    means, sequences = compare_bits(torch.zeros(11, 20_000, 8), targets.transpose(0, 1))
    assert sequences == 20_000
    assert means["loss"].item() == pytest.approx(math.log(2), rel=1e-5)
    assert means["bits_per_sequence"].item() == pytest.approx(
        (lengths - 1).float().mean().item() * 4, rel=1e-5
    )
    # 480,000 bits on average, which are fair: 5 standard deviations
    assert means["accuracy"].item() == pytest.approx(0.5, abs=5 * 0.5 / 400_000**0.5)


def test_tasks():
    assert NTMCopy(width=6).task == Task("vectors", 7, "bits", 6, "step")
    assert RepeatCopy(width=6).task == Task("vectors", 8, "bits", 7, "step")
