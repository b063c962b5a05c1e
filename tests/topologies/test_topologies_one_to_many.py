"""Vectors and images to sequences: the ways they enter, the ends, and captions that are learned."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from lit_seq.cells import GRU
from lit_seq.cores import Stack
from lit_seq.data import IGNORED
from lit_seq.errors import UserError
from lit_seq.topologies import Beam, OneToMany

sys.path.insert(0, str(Path(__file__).parent))

from turned_words import TARGET, TurnedWords


def build(kind="image", hidden_size=6, **options):
    torch.manual_seed(0)
    core = partial(Stack, cell=GRU, hidden_size=hidden_size)
    return OneToMany(TurnedWords(kind).task, core, 4, image_features=8, **options)


def batch_of(kind="image", size=4):
    return TurnedWords(kind).generate(size, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("attention", [None, "general", "additive"])
@pytest.mark.parametrize("context", ["state", "input", "both"])
def test_an_image_is_seen_as_a_whole_and_by_place(context, attention):
    model, batch = build(context=context, attention=attention), batch_of()
    encoded = model.encode(batch)
    torch.testing.assert_close(encoded.summary, model.network(batch.inputs))
    if attention is None:
        assert encoded.memory is None
    else:
        torch.testing.assert_close(encoded.memory.transpose(0, 1), model.network.grid(batch.inputs))
    model.measure(batch).means["loss"].backward()
    assert [name for name, one in model.named_parameters() if one.grad is None] == []


def test_a_vector_enters_as_it_is():
    model, batch = build("vector"), batch_of("vector")
    assert torch.equal(model.encode(batch).summary, batch.inputs)
    rows = model.eval().predictions(batch)
    assert rows[0]["input"].startswith("(")
    assert set(rows[0]) == {"input", "prediction", "target"}


@pytest.mark.usefixtures("double")
def test_a_predicted_length_takes_the_place_of_the_end_token():
    model, batch = build("vector", ending="length"), batch_of("vector")
    batch = batch._replace(inputs=batch.inputs.double())
    measured = model.measure(batch)
    summary, start = batch.inputs, model.decoder.start(model.encode(batch))
    total, right, number = 0, 0, 0
    for row, target in enumerate(batch.targets):
        word = target[(target != IGNORED) & (target != TARGET.end)]
        tokens = torch.full((4, len(word)), TARGET.end)
        tokens[row, 1:] = word[:-1]
        scores = model.decoder(tokens, start)[0][:, row].clone()
        scores[:, TARGET.end] = -torch.inf
        total = total + F.cross_entropy(scores, word, reduction="sum")
        counts = model.decoder.count.weight @ summary[row] + model.decoder.count.bias
        assert len(counts) == 5
        total = total + F.cross_entropy(counts, torch.tensor(len(word)))
        right += int((scores.argmax(-1) == word).sum()) + int(counts.argmax() == len(word))
        number += len(word) + 1
    torch.testing.assert_close(measured.means["loss"], total / number, rtol=1e-12, atol=0)
    assert measured.means["accuracy"].item() == pytest.approx(right / number)
    assert measured.targets == number
    measured.means["loss"].backward()
    assert torch.isfinite(torch.cat([one.grad.flatten() for one in model.parameters()])).all()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("image", {"attention": "general"}),
        ("vector", {"context": "both", "ending": "length"}),
        pytest.param("image", {"context": "input", "ending": "length"}, marks=pytest.mark.slow),
        pytest.param("vector", {"context": "state", "sampling": 0.5}, marks=pytest.mark.slow),
    ],
)
def test_words_are_learned_to_be_read(kind, options):
    torch.manual_seed(1)
    data = TurnedWords(kind, longest=3, batch_size=64, seed=0)
    core = partial(Stack, cell=GRU, hidden_size=32)
    model = OneToMany(data.task, core, 8, image_features=32, decoding=partial(Beam, beams=3), **options)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _, batch in zip(range(300), data.train_dataloader(), strict=False):
        optimiser.zero_grad()
        model.measure(batch).means["loss"].backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        rows = [row for batch in data.val_dataloader() for row in model.predictions(batch)]
        greedy = [row for b in data.val_dataloader() for row in model.rows(b, model.measure(b).answers)]
    assert sum(row["prediction"] == row["target"] for row in rows) / len(rows) > 0.95
    assert model.scored(greedy)["exact_match"] > 0.95


def test_samples_show_the_image_and_where_the_model_looked():
    model, batch = build(attention="general").eval(), batch_of()
    with torch.no_grad():
        samples, rows = model.samples([batch]), model.predictions(batch)
    places = model.network.grid_size[0] * model.network.grid_size[1]
    for sample, row in zip(samples, rows, strict=True):
        assert sample.input == ""
        assert sample.image == row["image"]
        assert sample.image.startswith("data:image/png;base64,")
        assert sample.alignment.grid == model.network.grid_size
        assert sample.alignment.columns == []
        assert all(len(of) == places for of in sample.alignment.weights)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: build("tokens"), "OneToMany takes data with a vector without time or an image without time"),
        (lambda: build("vector", attention="dot"), "attention is dot, but a vector has no places"),
        (lambda: build(decoding=partial(Beam, beams=0)), "beams is 0"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
