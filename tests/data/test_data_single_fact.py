import re

import pytest
import torch

from lit_seq.data import SingleFact
from lit_seq.data.loader import generator
from lit_seq.data.single_fact import WORDS


@pytest.mark.parametrize(("sentences", "people", "places"), [(1, 1, 2), (2, 2, 3), (10, 4, 6), (30, 8, 10)])
def test_the_answer_is_where_the_person_went_last(sentences, people, places):
    data = SingleFact(sentences=sentences, people=people, places=places)
    task = data.task
    batch = data.generate(100, generator(sentences))
    assert batch.inputs.shape == (100, (sentences + 1) * WORDS)
    assert batch.inputs.min() > 0
    for tokens, target in zip(batch.inputs, batch.targets.tolist(), strict=True):
        text = data.vocabulary.decode(tokens)
        sentence = r"(\w+) (?:moved|went|journeyed|travelled) to the (\w+) "
        assert re.fullmatch(rf"(?:{sentence}){{{sentences}}}where is \w+ now \?", text)
        where = dict(re.findall(sentence, text))
        assert where[re.search(r"where is (\w+)", text)[1]] == task.labels[target]
        assert len(where) <= people
        assert set(where.values()) <= set(task.labels)


def test_what_can_be_told_without_memory():
    data = SingleFact()
    batch = data.generate(40_000, generator(9))
    # 5 standard deviations of 40,000 draws
    frequency = torch.bincount(batch.targets, minlength=6) / 40_000
    assert (frequency - 1 / 6).abs().max() < 5 * (5 / 36 / 4e4) ** 0.5
    # the formula of the docstring for the place of the last sentence: 10 sentences, 4 people, 6 places
    about_the_last = 1 / 10 + (1 - 1 / 10) / 4
    expected = about_the_last + (1 - about_the_last) / 6
    last = batch.inputs[:, 10 * WORDS - 1] - (data.task.input_size - 6)
    assert (last == batch.targets).float().mean().item() == pytest.approx(expected, abs=5 * 0.5 / 200)


def test_a_task_has_words_and_places():
    task = SingleFact(people=2, places=3).task
    assert (task.inputs, task.targets, task.alignment) == ("tokens", "classes", "sequence")
    assert task.labels == ("bathroom", "bedroom", "garden")
    assert task.vocabulary["unit"] == "word"
    assert task.vocabulary["symbols"][-5:] == ("mary", "john", "bathroom", "bedroom", "garden")
    assert task.input_size == len(task.vocabulary["symbols"])
