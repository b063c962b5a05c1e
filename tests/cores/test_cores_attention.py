import math
from functools import partial

import pytest
import torch

from lit_seq.cells import GRU
from lit_seq.cores import Attention, AttentionSummary, Stack
from lit_seq.data import Batch, Task
from lit_seq.topologies import ManyToOne

pytestmark = pytest.mark.usefixtures("double")


def score(attention, query, state, head):
    """The score of one query and one state of one head, from the papers."""
    heads = attention.heads
    if attention.score == "additive":
        q = (attention.queries.weight @ query).chunk(heads)[head]
        k = (attention.keys.weight @ state + attention.keys.bias).chunk(heads)[head]
        return attention.direction[head] @ torch.tanh(q + k)
    if attention.score == "general":
        state = attention.keys.weight @ state
    q, k = query.chunk(heads)[head], state.chunk(heads)[head]
    return q @ k / (math.sqrt(len(q)) if attention.score == "scaled" else 1)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("kind", ["additive", "dot", "general", "scaled"])
def test_context_and_weights_by_hand(kind, heads):
    torch.manual_seed(0)
    query_size = 6 if kind in ("dot", "scaled") else 4
    attention = Attention(query_size, 6, kind, size=8, heads=heads)
    memory, queries = torch.randn(5, 2, 6), torch.randn(3, 2, query_size)
    lengths = torch.tensor([5, 2])
    memory[2:, 1] = torch.nan
    attended = attention.attend(memory, lengths)
    context, weights = attention(queries, attended)
    assert context.shape == (3, 2, 6)
    assert weights.shape == (3, 2, heads, 5)
    for decoder_step in range(3):
        for b, length in enumerate(lengths.tolist()):
            for head in range(heads):
                scores = [
                    score(attention, queries[decoder_step, b], memory[t, b], head).item()
                    for t in range(length)
                ]
                total = sum(math.exp(s) for s in scores)
                expected = [math.exp(s) / total for s in scores] + [0.0] * (5 - length)
                assert weights[decoder_step, b, head].tolist() == pytest.approx(expected, abs=1e-12)
                seen = sum(expected[t] * memory[t, b].chunk(heads)[head] for t in range(length))
                got = context[decoder_step, b].chunk(heads)[head]
                torch.testing.assert_close(got, seen, rtol=0, atol=1e-12)
    one, _ = attention(queries[0], attended)
    torch.testing.assert_close(one, context[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("sizes", "options", "sentence"),
    [
        ((4, 6), {"heads": 4}, "4 heads cannot share the 6 features of the states"),
        ((4, 6), {"heads": 2, "size": 5}, "2 heads cannot share the 5 features of the keys"),
        ((4, 6), {"heads": 0}, "0 heads"),
        ((4, 6), {"size": 0}, "1 heads cannot share the 0 features"),
        ((4, 6), {"score": "dot"}, "one size, not 4 and 6"),
    ],
)
def test_what_heads_cannot_share_is_refused(sizes, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Attention(*sizes, **options)


def test_the_summary_is_the_encoders_beside_what_it_attends_to():
    torch.manual_seed(0)
    core = AttentionSummary(3, lambda size: Stack(size, GRU, 4, bidirectional=True), heads=2)
    inputs, lengths = torch.randn(5, 2, 3), torch.tensor([5, 3])
    outputs, state = core(inputs, None, lengths)
    encoded, encoder = core.encoder(inputs, None, lengths)
    query = core.encoder.summary(encoder)
    context, weights = core.attention(query, core.attention.attend(encoded, lengths))
    torch.testing.assert_close(core.summary(state), torch.cat([query, context], -1), rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs[2], torch.cat([encoded[2], context], -1), rtol=0, atol=1e-12)
    torch.testing.assert_close(core.attention_weights(state), weights, rtol=0, atol=1e-12)
    assert weights[1, :, 3:].abs().max() == 0


def test_predictions_say_to_what_was_attended():
    torch.manual_seed(0)
    task = Task("vectors", 3, "values", 1, "sequence")
    model = ManyToOne(task, partial(AttentionSummary, encoder=partial(Stack, cell=GRU, hidden_size=4)))
    batch = Batch(torch.randn(2, 5, 3), torch.randn(2, 1), torch.tensor([5, 3]))
    _, state = model.core(batch.inputs.transpose(0, 1), None, batch.lengths)
    expected = state.weights.tolist()
    assert [row["attention"] for row in model.predictions(batch)] == expected
    assert expected[1][0][3:] == [0, 0]
    plain = ManyToOne(task, partial(Stack, cell=GRU, hidden_size=4))
    assert "attention" not in plain.predictions(batch)[0]
