import math

import pytest
import torch

from lit_seq.cores import MemoryNetwork
from lit_seq.errors import UserError

pytestmark = pytest.mark.usefixtures("double")


def answer(core, sentences):
    """Section 2 of the paper for one story, (sentences, words, input): the last one is the question."""
    d, hops, words = core.output_size, core.hops, core.words
    embeddings = core.embeddings.weight.chunk(hops + 1)

    def embedded(sentence, k):
        total = torch.zeros(d)
        for j, word in enumerate(sentence, start=1):
            encoding = torch.tensor(
                [(1 - j / words) - (n / d) * (1 - 2 * j / words) for n in range(1, d + 1)]
            )
            total = total + (encoding if core.encoding.std() > 0 else 1) * (embeddings[k] @ word)
        return total

    *facts, question = sentences
    u, looked = embedded(question, 0), []
    for k in range(hops):
        ages = [min(len(facts) - 1 - i, core.memories - 1) for i in range(len(facts))]
        m = [embedded(fact, k) + core.ages[k, age] for fact, age in zip(facts, ages, strict=True)]
        c = [embedded(fact, k + 1) + core.ages[k + 1, age] for fact, age in zip(facts, ages, strict=True)]
        scores = [math.exp((u @ one).item()) for one in m]
        p = [one / sum(scores) for one in scores]
        u = u + sum(weight * one for weight, one in zip(p, c, strict=True))
        looked.append([*p, 0.0])
    return u, looked


@pytest.mark.parametrize("position_encoding", [True, False])
@pytest.mark.parametrize(("hops", "memories"), [(1, 50), (3, 2)])
def test_answers_by_hand(hops, memories, position_encoding):
    torch.manual_seed(0)
    core = MemoryNetwork(5, 4, 3, hops, memories, position_encoding)
    inputs, lengths = torch.randn(15, 2, 5), torch.tensor([15, 9])
    inputs[9:, 1] = torch.nan
    outputs, state = core(inputs, None, lengths)
    for index, steps in enumerate(lengths.tolist()):
        story = list(inputs[:steps, index].unflatten(0, (-1, 3)))
        expected, looked = answer(core, story)
        torch.testing.assert_close(core.summary(state)[index], expected, rtol=0, atol=1e-12)
        seen = core.attention_weights(state)[index]
        torch.testing.assert_close(seen[:, : len(story)], torch.tensor(looked), rtol=0, atol=1e-12)
        assert (seen[:, len(story) :] == 0).all()
        # Each sentence is a question to those before it.
        for place in range(1, len(story) + 1):
            expected, _ = answer(core, story[:place])
            torch.testing.assert_close(outputs[3 * place - 1, index], expected, rtol=0, atol=1e-12)
    assert outputs[9:, 1].abs().max() == 0


@pytest.mark.parametrize(
    ("time", "lengths", "sentence"),
    [
        (7, None, "a sequence of 7 steps is not made of sentences of 3 words"),
        (9, [9, 4], "a sequence of 4 steps"),
        (9, [9, 0], "from 0 to 9"),
    ],
)
def test_broken_sentences_are_refused(time, lengths, sentence):
    core = MemoryNetwork(5, words=3)
    with pytest.raises((UserError, ValueError), match=sentence):
        core(torch.randn(time, 2, 5), None, None if lengths is None else torch.tensor(lengths))


@pytest.mark.parametrize("option", ["hidden_size", "words", "hops", "memories"])
def test_wrong_size_is_named(option):
    with pytest.raises(ValueError, match=f"{option} is 0"):
        MemoryNetwork(5, **{option: 0})
