"""Sequences to sequences: losses written out, every way of telling the decoder, packs and checkpoints."""

import json
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from lit_seq.cells import GRU, LSTM, Elman, Jordan
from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import AttentionSummary, Stack
from lit_seq.data import IGNORED, Batch, Task
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.topologies import Beam, EncoderDecoder, OneToMany

sys.path.insert(0, str(Path(__file__).parent))

from turned_words import SOURCE, TARGET, TurnedWords


def build(kind="tokens", encoder=None, decoder=None, **options):
    torch.manual_seed(0)
    encoder = encoder or partial(Stack, cell=GRU, hidden_size=5, bidirectional=True)
    decoder = decoder or partial(Stack, cell=GRU, hidden_size=5)
    return EncoderDecoder(TurnedWords(kind).task, encoder, decoder, 4, **options)


def batch_of(kind="tokens", size=4, **options):
    return TurnedWords(kind, **options).generate(size, torch.Generator().manual_seed(3))


def alone(batch, row):
    """One row of a batch without its padding."""
    length, target = int(batch.lengths[row]), batch.targets[row]
    return Batch(batch.inputs[row : row + 1, :length], target[target != IGNORED].unsqueeze(0))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", ["tokens", "vectors", "frames"])
@pytest.mark.parametrize("context", ["state", "input", "both"])
@pytest.mark.parametrize("attention", [None, "general", "additive"])
def test_padding_changes_nothing(kind, context, attention):
    model = build(kind, context=context, attention=attention).eval()
    batch = batch_of(kind)
    if kind != "tokens":
        batch = batch._replace(inputs=batch.inputs.double())
        for row, length in enumerate(batch.lengths.tolist()):
            batch.inputs[row, length:] = 1e3
    with torch.no_grad():
        together = model.measure(batch)
        ones = [model.measure(alone(batch, row)) for row in range(4)]
    tokens = sum(one.targets for one in ones)
    assert together.targets == tokens == (batch.targets != IGNORED).sum()
    for name, mean in together.means.items():
        expected = sum(one.means[name] * one.targets for one in ones) / tokens
        torch.testing.assert_close(mean, expected, rtol=1e-12, atol=0)
    for row, one in enumerate(ones):
        assert together.answers[row].tolist() == one.answers[0].tolist()


@pytest.mark.usefixtures("double")
def test_loss_and_accuracy_are_those_of_the_tokens_that_count():
    model, batch = build().train(), batch_of()
    lost, right, tokens = [], 0, 0
    for row in range(4):
        one = alone(batch, row)
        target = one.targets[0]
        scores, _, _ = model.decoder(
            torch.tensor([[TARGET.end, *target[:-1].tolist()]]), model.decoder.start(model.encode(one))
        )
        lost.append(F.cross_entropy(scores[:, 0], target, reduction="sum"))
        right += int((scores[:, 0].argmax(-1) == target).sum())
        tokens += len(target)
    measured = model.measure(batch)
    torch.testing.assert_close(measured.means["loss"], sum(lost) / tokens, rtol=1e-12, atol=0)
    assert measured.means["accuracy"].item() == pytest.approx(right / tokens)
    assert measured.answers == ()
    perplexity = model.derived({"loss": measured.means["loss"]})["perplexity"]
    assert perplexity.item() == pytest.approx(2.718281828459045 ** measured.means["loss"].item())


@pytest.mark.usefixtures("double")
def test_a_network_that_samples_everything_reads_what_it_writes():
    model, batch = build(sampling=1.0).train(), batch_of()
    batch.targets[:] = torch.where(batch.targets == IGNORED, TARGET.end, batch.targets)
    encoded = model.encode(batch)
    fed = model._fed(batch.targets, model.decoder.start(encoded))
    model.eval()
    with torch.no_grad():
        state, said = model.decoder.start(encoded), [torch.full((4,), TARGET.end)]
        for _ in range(batch.targets.shape[1] - 1):
            scores, state = model.decoder.step(said[-1], state)
            said.append(scores.argmax(-1))
    assert fed.tolist() == torch.stack(said, 1).tolist()
    assert model._fed(batch.targets, model.decoder.start(encoded)).tolist() != fed.tolist()
    model.train().measure(batch).means["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


def test_every_parameter_learns():
    for context in ("state", "input", "both"):
        for attention in (None, "general", "additive"):
            model = build(context=context, attention=attention)
            model.measure(batch_of()).means["loss"].backward()
            idle = [name for name, one in model.named_parameters() if one.grad is None]
            assert idle == []


@pytest.mark.parametrize(
    ("context", "attention"),
    [
        ("both", "general"),
        *(
            pytest.param(context, attention, marks=pytest.mark.slow)
            for context in ("state", "input", "both")
            for attention in (None, "additive")
        ),
    ],
)
def test_words_are_learned_to_be_turned_round(context, attention):
    torch.manual_seed(1)
    data = TurnedWords(longest=3, batch_size=64, seed=0)
    core = partial(Stack, cell=GRU, hidden_size=32)
    model = EncoderDecoder(data.task, core, core, 8, context, attention)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _, batch in zip(range(150), data.train_dataloader(), strict=False):
        optimiser.zero_grad()
        model.measure(batch).means["loss"].backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        rows = [row for batch in data.val_dataloader() for row in model.predictions(batch)]
    assert rows[0]["input"][::-1] == rows[0]["target"]
    assert sum(row["prediction"] == row["target"] for row in rows) / len(rows) > 0.95


def command(folder, name, index=0, *options, kind="tokens", model="EncoderDecoder"):
    small = {
        "EncoderDecoder": ["--model.encoder.hidden_size=5", "--model.decoder.hidden_size=6"],
        "OneToMany": ["--model.core.hidden_size=6", "--model.image_features=8"],
    }[model]
    return [
        *("fit", "--model", model, *small, "--model.embedding_size=4"),
        *("--data", "turned_words.TurnedWords", "--data.kind", kind, "--data.batch_size=4"),
        *("--data.validation_size=10", "--data.test_size=10", "--trainer.max_steps=12"),
        *("--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=6"),
        *("--trainer.log_every_n_steps=1", "--trainer.precision=64-true", "--wandb.mode=disabled"),
        *("--trainer.enable_progress_bar=false", f"--seed_everything={index}"),
        *("--runs_dir", str(folder), "--name", f"{name}{index}", *options),
    ]


SAMPLED = [
    ["--model.sampling=0", "--model.sampling_steps=1"],
    ["--model.sampling=0.3", "--model.sampling_steps=1"],
    ["--model.sampling=1", "--model.sampling_steps=10"],
]


@pytest.mark.parametrize(
    ("model", "kind", "options", "each"),
    [
        ("EncoderDecoder", "tokens", ["--model.context=both", "--model.encoder.bidirectional=true"], SAMPLED),
        pytest.param(
            "EncoderDecoder",
            "frames",
            ["--model.attention=null", "--model.decoder.layers=2", "--model.decoder.dropout=0.2"],
            SAMPLED,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "OneToMany",
            "image",
            ["--model.attention=additive", "--model.ending=length"],
            SAMPLED,
            marks=pytest.mark.slow,
        ),
        pytest.param("OneToMany", "vector", ["--model.context=input"], [[], [], []], marks=pytest.mark.slow),
    ],
)
def test_packed_trials_equal_solo_runs(tmp_path, capsys, model, kind, options, each):
    def of(name, index):
        rate = f"--optimizer.lr={0.003 * (index + 1)}"
        return command(tmp_path, name, index, *options, *each[index], rate, kind=kind, model=model)

    assert run_pack([of("packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(of("solo", index)) == 0
        alone, stacked = (pd.read_csv(tmp_path / f"{name}{index}/metrics.csv") for name in ("solo", "packed"))
        assert sorted(alone) == sorted(stacked)
        assert {"val/loss", "val/perplexity", "val/accuracy", "val/exact_match"} <= set(alone)
        for column in alone:
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(alone[column], stacked[column], rtol=rtol, atol=1e-12)


def distance(one, other):
    """Edits between two words, by definition."""
    if not one or not other:
        return len(one) + len(other)
    last = distance(one[:-1], other[:-1]) + (one[-1] != other[-1])
    return min(last, distance(one[:-1], other) + 1, distance(one, other[:-1]) + 1)


@pytest.mark.parametrize(("model", "kind"), [("EncoderDecoder", "tokens"), ("OneToMany", "image")])
def test_a_checkpoint_writes_without_its_data(tmp_path, model, kind):
    sampled = ["--model.sampling=0.5", "--model.decoding=Beam", "--model.decoding.beams=3"]
    assert main(command(tmp_path, "run", 0, *sampled, model=model, kind=kind)) == 0
    path = tmp_path / "run0/checkpoints/last.ckpt"
    assert main(["test", "--ckpt_path", str(path)]) == 0
    tested = pd.read_csv(tmp_path / "run0/metrics.csv")["test/edit_distance"].dropna().item()
    assert main(["predict", "--ckpt_path", str(path)]) == 0
    loaded = load_model(path, {"EncoderDecoder": EncoderDecoder, "OneToMany": OneToMany}[model])
    loaded = loaded.double().eval()
    assert isinstance(loaded.decoding, Beam)
    assert loaded.decoding.beams == 3
    data = TurnedWords(kind, batch_size=4, test_size=10)
    with torch.no_grad():
        batches = [
            batch if kind == "tokens" else batch._replace(inputs=batch.inputs.double())
            for batch in data.test_dataloader()
        ]
        rows = [row for batch in batches for row in loaded.predictions(batch)]
    lines = [json.loads(line) for line in (tmp_path / "run0/predictions.jsonl").read_text().splitlines()]
    assert lines == rows
    assert len(rows) == 10
    assert tested == pytest.approx(sum(distance(row["prediction"], row["target"]) for row in rows) / 10)
    assert main(["predict", "--ckpt_path", str(path), "--model.decoding", "Greedy"]) == 0
    with torch.no_grad():
        first = loaded.rows(batches[0], loaded.measure(batches[0]).answers)
    greedy = (tmp_path / "run0/predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["prediction"] for line in greedy[:4]] == [written for written, _ in first]


def test_a_test_searches_as_it_is_told_and_a_validation_greedily():
    model, batch = build(decoding=partial(Beam, beams=4, length_penalty=0.0)).eval(), batch_of(size=64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        start = model.decoder.start(model.encode(batch))
        first = torch.full((64,), TARGET.end)
        searched, greedy = (
            search(model.decoder.step, start, first) for search in (model.decoding, model.greedy)
        )
        assert searched.tolist() != greedy.tolist()
        assert model.measure(batch).answers.tolist() == greedy.tolist()
        model.on_test_start()
        assert model.measure(batch).answers.tolist() == searched.tolist()
        model.on_test_end()
        assert model.measure(batch).answers.tolist() == greedy.tolist()


def test_samples_say_where_the_model_looked():
    model, batch = build(heads=5, attention="additive", attention_size=10).eval(), batch_of(size=9)
    with torch.no_grad():
        samples = model.samples(iter([batch]))
        rows = model.predictions(batch)
    assert len(samples) == 6
    assert model.samples([]) == []
    for sample, row, length in zip(samples, rows, batch.lengths.tolist(), strict=False):
        assert (sample.input, sample.output, sample.target) == (
            row["input"],
            row["prediction"],
            row["target"],
        )
        assert sample.image is None
        looked = sample.alignment
        assert "".join(looked.columns) == sample.input
        assert "".join(looked.rows).removesuffix("<end>") == sample.output
        assert len(looked.rows) <= model.task.target_length
        assert [len(of) for of in looked.weights] == [length] * len(looked.rows)
        assert all(sum(of) == pytest.approx(1, abs=1e-3) for of in looked.weights)
    assert build(attention=None).eval().samples([batch])[0].alignment is None


@pytest.mark.parametrize("cell", [Elman, LSTM, Jordan])
def test_any_cell_writes_and_a_summary_by_attention_serves(cell):
    encoder = partial(AttentionSummary, encoder=partial(Stack, cell=LSTM, hidden_size=4))
    model = build(encoder=encoder, decoder=partial(Stack, cell=cell, hidden_size=5, layers=2))
    model.measure(batch_of()).means["loss"].backward()
    assert len(model.eval().predictions(batch_of())) == 4


WITHOUT_END = Task(
    "tokens", 5, "classes", 5, "own", None, target_vocabulary=SOURCE.to_dict(), target_length=4
)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: EncoderDecoder(TurnedWords("image").task),
            "EncoderDecoder takes data with sequences of tokens",
        ),
        (lambda: EncoderDecoder(Task("tokens", 5, "classes", 5, "step")), "takes data with targets that are"),
        (lambda: EncoderDecoder(WITHOUT_END), "needs a vocabulary of targets with an end token"),
        (
            lambda: EncoderDecoder(Task("tokens", 5, "classes", 5, "own")),
            "needs targets with a vocabulary and a greatest length",
        ),
        (lambda: build(encoder=partial(Stack, cell=Jordan)), "only memory of the cell Jordan"),
        (lambda: build(decoder=partial(Stack, bidirectional=True)), "does not read from left to right"),
        (lambda: build(sampling=-0.1), r"sampling is -0\.1"),
        (lambda: build(text_metrics=["blue"]), "There is no text metric blue; allowed: bleu, chrf"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_empty_sources_and_targets_are_refused():
    model, batch = build(), batch_of()
    with pytest.raises(UserError, match="EncoderDecoder: a source is empty"):
        model.measure(batch._replace(lengths=torch.tensor([4, 0, 1, 1])))
    batch.targets[1] = IGNORED
    with pytest.raises(UserError, match="EncoderDecoder: a target is empty"):
        model.measure(batch)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
