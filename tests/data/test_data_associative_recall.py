import re

import pytest
import torch

from lit_seq.data import AssociativeRecall, Task
from lit_seq.data.associative_recall import SYMBOLS
from lit_seq.data.loader import generator


@pytest.mark.parametrize("pairs", [1, 4, 26])
def test_the_answer_is_the_digit_behind_the_letter(pairs):
    batch = AssociativeRecall(pairs=pairs).generate(100, generator(pairs))
    for tokens, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        text = "".join(SYMBOLS[token] for token in tokens)
        assert re.fullmatch(rf"([a-z][0-9]){{{pairs}}}\?\?[a-z]", text)
        digits = dict(zip(text[0:-3:2], text[1:-3:2], strict=True))
        assert len(digits) == pairs
        assert digits[text[-1]] == str(target)


def test_letters_digits_and_questions_are_spread_evenly():
    inputs, targets = AssociativeRecall(pairs=3).generate(40_000, generator(1))[:2]
    asked = (inputs[:, 0:6:2] == inputs[:, -1:]).float().mean(0)
    # 5 standard deviations of 40,000 draws
    assert (asked - 1 / 3).abs().max() < 5 * (2 / 9 / 4e4) ** 0.5
    assert (torch.bincount(targets, minlength=10) / 4e4 - 0.1).abs().max() < 5 * (0.09 / 4e4) ** 0.5
    assert (torch.bincount(inputs[:, 2]) / 4e4 - 1 / 26).abs().max() < 5 * (25 / 676 / 4e4) ** 0.5


def test_task():
    expected = Task("tokens", 37, "classes", 10, "sequence", labels=tuple("0123456789"))
    assert AssociativeRecall().task == expected
