import re
from collections import Counter, defaultdict

import pytest

from lit_seq.data import IGNORED, EmbeddedReber, Task
from lit_seq.data.loader import generator
from lit_seq.data.reber import SYMBOLS

# Reber's grammar as a regular expression, from its figure in Reber 1976 and not from the table under test
STRING = re.compile(r"B(T|P)(BTS*X(?:S|X(?:T)*V(?:PX(?:T)*V)*(?:PS|V))E|BPT*V(?:PX(?:T)*V)*(?:PS|V)E)\1E")


def strings(max_length, size, seed=0):
    batch = EmbeddedReber(max_length=max_length).generate(size, generator(seed))
    for tokens, sets, length in zip(*(part.tolist() for part in batch[:3]), strict=True):
        assert all(bits == [IGNORED] * 7 for bits in sets[length:])
        text = "".join(SYMBOLS[token] for token in tokens[:length])
        yield (
            text,
            ["".join(s for s, bit in zip(SYMBOLS, bits, strict=True) if bit) for bits in sets[:length]],
        )


@pytest.mark.parametrize("max_length", [9, 10, 15, 50])
def test_every_string_is_of_the_grammar(max_length):
    drawn = list(strings(max_length, 300))
    for text, _ in drawn:
        assert STRING.fullmatch(text + "E"), text
        assert 9 <= len(text) + 1 <= max_length
    assert len({text for text, _ in drawn}) > {9: 3, 10: 7, 15: 60, 50: 100}[max_length]


def test_the_sets_are_what_follows_in_the_language():
    drawn = list(strings(50, 8_000))
    follow = defaultdict(set)
    for text, _ in drawn:
        for end in range(1, len(text) + 1):
            follow[text[:end]].add((text + "E")[end])
    seen = 0
    for text, sets in drawn[:500]:
        for end in range(1, min(len(text), 8) + 1):
            assert "".join(s for s in SYMBOLS if s in follow[text[:end]]) == sets[end - 1]
            seen += 1
        assert sets[-2:] == [text[1], "E"]
    assert seen > 3000


def test_what_can_be_told_without_memory():
    drawn = [list(zip(text, sets, strict=True)) for text, sets in strings(50, 8_000, seed=1)]
    counts = defaultdict(Counter)
    for string in drawn:
        for symbol, follow in string:
            counts[symbol][follow] += 1 / len(string)
    likeliest = {symbol: follow.most_common(1)[0][0] for symbol, follow in counts.items()}
    right = [[likeliest[symbol] == follow for symbol, follow in string] for string in drawn]
    assert sum(sum(one) / len(one) for one in right) / len(right) == pytest.approx(0.55, abs=0.01)
    assert not any(all(one) for one in right)


def test_each_branch_is_as_likely_as_the_other():
    drawn = [text for text, _ in strings(50, 8_000, seed=2)]
    # 5 standard deviations of 8,000 fair choices
    assert abs(sum(text[1] == "T" for text in drawn) - 4_000) < 5 * (8_000 / 4) ** 0.5
    assert abs(sum(text[3] == "T" for text in drawn) - 4_000) < 5 * (8_000 / 4) ** 0.5
    shortest = sum(text[2:7] in ("BTXSE", "BPVVE") for text in drawn)
    assert abs(shortest - 2_000) < 5 * (8_000 * 3 / 16) ** 0.5


def test_task():
    assert EmbeddedReber().task == Task("tokens", 7, "bits", 7, "step", labels=tuple("BTPSXVE"))
