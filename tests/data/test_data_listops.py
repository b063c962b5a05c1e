import statistics

import pytest
import torch

from lit_seq.data import ListOps, Vocabulary
from lit_seq.data.loader import generator
from lit_seq.errors import UserError


def sentences(data, size):
    batch = data.generate(size, generator(3))
    vocabulary = Vocabulary.from_dict(data.task.vocabulary)
    for row, length in enumerate(batch.lengths.tolist()):
        words = vocabulary.decode(batch.inputs[row, :length]).split()
        assert (batch.inputs[row, length:] == 0).all()
        yield words, batch.tree.parents[row, :length].tolist(), batch.targets[row].item()


def value(words):
    """Read an expression off the front of `words` and return what it stands for."""
    word = words.pop(0)
    if not word.startswith("["):
        return int(word)
    arguments = []
    while words[0] != "]":
        arguments.append(value(words))
    words.pop(0)
    assert 2 <= len(arguments) <= 4
    match word:
        case "[MAX":
            return max(arguments)
        case "[MIN":
            return min(arguments)
        case "[MED":
            return int(statistics.median(arguments))
        case "[SM":
            return sum(arguments) % 10


def test_answers_and_trees_are_those_of_the_brackets():
    data = ListOps(shortest=6, longest=40, most_arguments=4, deepest=4, seed=1)
    depths = set()
    for words, parents, answer in sentences(data, 300):
        assert 6 <= len(words) <= 40
        open_brackets, expected = [], []
        for place, word in enumerate(words):
            expected.append(open_brackets[-1] if open_brackets else -1)
            if word.startswith("["):
                open_brackets.append(place)
            depths.add(len(open_brackets))
            if word == "]":
                open_brackets.pop()
        assert parents == expected
        assert max(parents.count(place) for place in range(len(words))) <= data.task.arity
        assert value(words) == answer
        assert not words
    assert max(depths) == 4


def test_held_out_expressions_are_the_same_for_every_batch_size():
    def held_out(batch_size):
        loader = ListOps(validation_size=10, batch_size=batch_size, seed=batch_size).val_dataloader()
        return [
            (batch.inputs[row].tolist(), batch.targets[row].item(), batch.tree.parents[row].tolist())
            for batch in loader
            for row in range(len(batch.inputs))
        ]

    assert held_out(4) == held_out(10)
    assert len(held_out(4)) == 10


def test_all_digits_are_about_as_frequent():
    counts = torch.bincount(ListOps(seed=1).generate(3000, generator(1)).targets, minlength=10)
    assert counts.min() > 3000 * 0.07
    assert counts.max() < 3000 * 0.14


def test_wrong_arguments_are_named():
    with pytest.raises(UserError, match="ListOps: longest is 4; it must be at least 8"):
        ListOps(longest=4)
    with pytest.raises(UserError, match=r"ListOps: nesting is 0\.7; it must be from 0 to 0.5"):
        ListOps(nesting=0.7)
    with pytest.raises(UserError, match="ListOps: most_arguments is 1; it must be at least 2"):
        ListOps(most_arguments=1)
    with pytest.raises(UserError, match=r"none of 10000 expressions had 30 \(shortest\) to 50"):
        ListOps(shortest=30, nesting=0).generate(1, generator(1))
