"""The hidden Markov model of text: its figures, its memory from chunk to chunk, what it writes."""

import json
import math

import pytest
import torch
from hmmlearn.hmm import CategoricalHMM as Reference

from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.data import Batch, Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.samples import Matrix, Writing
from lit_seq.topologies.categorical_hmm import CategoricalHMM

PATH = "lit_seq.topologies.categorical_hmm.CategoricalHMM"


@pytest.fixture
def text(tmp_path):
    drawn = torch.randint(4, (3000,), generator=torch.Generator().manual_seed(0)).tolist()
    path = tmp_path / "text.txt"
    path.write_text("".join("ab c"[i] for i in drawn))
    return path


def build(states=3):
    torch.manual_seed(0)
    vocabulary = Vocabulary.of(["abcd"], "character")
    size = len(vocabulary)
    model = CategoricalHMM(Task("tokens", size, "classes", size, "next", vocabulary.to_dict()), states)
    torch.nn.init.normal_(model.chain.initial_logits)
    return model.eval()


def running(streams, steps):
    tokens = torch.randint(5, (streams, steps + 1), generator=torch.Generator().manual_seed(1))
    return tokens[:, :-1], tokens[:, 1:]


@torch.no_grad()
def test_loss_of_chunks_is_the_likelihood_of_the_text():
    model = build().double()
    inputs, targets = running(2, 12)
    state, losses = None, []
    for chunk in range(3):
        steps = slice(4 * chunk, 4 * chunk + 4)
        measured = model.measure(Batch(inputs[:, steps], targets[:, steps]), state)
        assert measured.targets == 8
        state = measured.state
        losses.append(measured.means["loss"].item())
    reference = Reference(3)
    reference.startprob_ = model.chain.initial(1)[0].numpy()
    reference.transmat_ = model.chain.transition().numpy()
    reference.n_features, reference.emissionprob_ = 5, model.emissions.probabilities().numpy()
    first = [reference.score(row[:1, None]) for row in inputs.numpy()]
    whole = [reference.score(row[:, None]) for row in torch.cat([inputs[:, :1], targets], 1).numpy()]
    assert sum(losses) / 3 == pytest.approx((sum(first) - sum(whole)) / 24, rel=1e-6)
    derived = model.derived({"loss": torch.tensor(losses[0])})
    assert derived["perplexity"].item() == pytest.approx(math.exp(losses[0]))
    assert derived["bits_per_character"].item() == pytest.approx(losses[0] / math.log(2))


@torch.no_grad()
def test_accuracy_and_predictions_are_the_likeliest_next_token():
    model = build()
    inputs, targets = running(3, 9)
    rows = model.predictions(Batch(inputs, targets))
    right = 0
    for row, tokens, wanted in zip(rows, inputs, targets, strict=True):
        assert row["text"] == model.vocabulary.decode(tokens)
        for t in range(9):
            ends = [torch.cat([tokens[1 : t + 1], torch.tensor([x])]) for x in range(5)]
            losses = [model.measure(Batch(tokens[None, : t + 1], end[None])).means["loss"] for end in ends]
            likeliest = int(torch.stack(losses).argmin())
            assert row["next"][t] == model.vocabulary.decode([likeliest])
            right += int(likeliest == wanted[t])
    found = model.measure(Batch(inputs, targets)).means["accuracy"]
    assert found.item() == pytest.approx(right / 27)


def test_what_it_writes_is_distributed_as_it_says():
    model = build(2)
    with torch.no_grad():
        model.emissions.logits.mul_(2)
    tokens = model.vocabulary.encode("ab")
    written = "".join(
        model.sample("ab", 1, generator=torch.Generator().manual_seed(seed)) for seed in range(3000)
    )
    with torch.no_grad():
        losses = [
            model.measure(Batch(tokens[None], torch.stack([tokens[1], torch.tensor(x)])[None])).means["loss"]
            for x in range(5)
        ]
    relative = torch.softmax(-2 * torch.stack(losses), 0)
    for token, probability in enumerate(relative.tolist()):
        share = written.count(model.vocabulary.decode([token])) / 3000
        assert share == pytest.approx(probability, abs=4 * math.sqrt(0.25 / 3000))
    greedy = model.sample("ab", 1, temperature=0)
    assert greedy == model.vocabulary.decode([int(relative.argmax())])
    with pytest.raises(UserError, match="The prime is empty"):
        model.sample("", 1)
    with pytest.raises(UserError, match=r"temperature \(-1\) and length \(1\) must not be negative"):
        model.sample("a", 1, -1)


def test_samples_are_a_text_and_the_states_by_what_they_say():
    model = build(2)
    model.emissions.logits.data = torch.tensor([[0.0, 9, 8, 7, 0], [0, 0, 7, 8, 9]])
    writing, transitions = model.samples([Batch(*running(2, 5))])
    assert isinstance(writing, Writing)
    assert len(writing.text) == 300
    assert isinstance(transitions, Matrix)
    a, b, c, d = (model.vocabulary.decode([i]) for i in range(1, 5))
    assert transitions.rows == [f"0: {a} {b} {c}", f"1: {d} {c} {b}"]
    assert [sum(row) for row in transitions.values] == pytest.approx([1, 1], abs=1e-3)


def command(folder, text, name, index):
    return [
        *("fit", "--model", PATH, "--model.states", "4", "--data", "Text", "--data.path", "text"),
        *("--data.data_files", str(text), "--data.chunk_length", "8", "--data.batch_size", "6"),
        *("--optimizer", "Adam", f"--optimizer.lr=0.0{index + 1}", f"--seed_everything={index}"),
        *("--trainer.precision", "64-true", "--trainer.max_steps", "25", "--trainer.log_every_n_steps", "1"),
        *("--trainer.gradient_clip_val=0.05", "--trainer.enable_progress_bar", "false"),
        *("--wandb.mode", "disabled", "--runs_dir", str(folder), "--name", f"{name}{index}"),
    ]


def test_packs_and_its_checkpoint_needs_no_data(tmp_path, text, capsys):
    assert run_pack([command(tmp_path, text, "packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command(tmp_path, text, "solo", index)) == 0
        one, other = (
            torch.load(tmp_path / f"{name}{index}/checkpoints/last.ckpt", weights_only=True)
            for name in ("packed", "solo")
        )
        torch.testing.assert_close(one["state_dict"], other["state_dict"], rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(one["carried_state"], other["carried_state"], rtol=1e-8, atol=1e-10)
    lines = (tmp_path / "solo0/samples.jsonl").read_text().splitlines()
    assert {json.loads(line)["kind"] for line in lines} == {"writing", "matrix"}
    assert main(["predict", "--ckpt_path", str(tmp_path / "solo0/checkpoints/last.ckpt")]) == 0
    row = json.loads((tmp_path / "solo0/predictions.jsonl").read_text().splitlines()[0])
    assert len(row["text"]) == len(row["states"]) == len(row["next"]) == 8
    text.unlink()
    model = load_model(tmp_path / "packed1/checkpoints/best.ckpt", CategoricalHMM)
    assert len(model.sample("ab", 20)) == 20


@pytest.mark.slow
def test_recovers_the_chain_that_wrote_a_text(tmp_path):
    transition = torch.tensor([[0.9, 0.1, 0.0], [0.05, 0.8, 0.15], [0.3, 0.1, 0.6]])
    emission = torch.tensor([[0.7, 0.2, 0.1, 0.0], [0.1, 0.1, 0.2, 0.6], [0.0, 0.8, 0.1, 0.1]])
    generator = torch.Generator().manual_seed(0)

    def draw(of):
        return torch.multinomial(of, 1, generator=generator).item()

    state, symbols = 0, []
    for _ in range(60000):
        symbols.append("abcd"[draw(emission[state])])
        state = draw(transition[state])
    path = tmp_path / "text.txt"
    path.write_text("".join(symbols))
    options = ["--model.states", "3", "--data.batch_size", "20", "--data.chunk_length", "50"]
    options += ["--optimizer.lr", "0.05", "--trainer.max_steps", "800", "--trainer.log_every_n_steps", "100"]
    assert main([*command(tmp_path, path, "run", 0), *options]) == 0
    model = load_model(tmp_path / "run0/checkpoints/last.ckpt", CategoricalHMM)
    said = model.emissions.probabilities()[:, model.vocabulary.encode("abcd")]
    order = [int((said - own).square().sum(1).argmin()) for own in emission]
    assert sorted(order) == [0, 1, 2]
    torch.testing.assert_close(said[order], emission, rtol=0, atol=0.05)
    torch.testing.assert_close(model.chain.transition()[order][:, order], transition, rtol=0, atol=0.05)
