"""Each core learns what it was invented for, and a network without it does not, in as many steps."""

from statistics import median

import pytest
import torch

from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.data import AddingProblem, Digits, NTMCopy, SingleFact
from lit_seq.packing.run import run_pack
from lit_seq.topologies import Topology

pytestmark = pytest.mark.proof


@pytest.fixture
def fit(tmp_path):
    """Return a function from options of the command line to the trained model, or models of several seeds."""

    def train(name, *options, seeds=None):
        words = [word for option in options for word in option.split()]
        words += ["--wandb.mode=disabled", "--trainer.enable_progress_bar=false"]
        words += ["--trainer.limit_val_batches=0", f"--runs_dir={tmp_path}"]
        names = [name] if seeds is None else [f"{name}{seed}" for seed in seeds]
        if seeds is None:
            assert main(["fit", *words, "--name", name]) == 0
        else:
            trials = [
                f"--seed_everything={seed} --name={one}".split()
                for seed, one in zip(seeds, names, strict=True)
            ]
            assert run_pack([["fit", *words, *trial] for trial in trials]) == [0] * len(trials)
        models = [load_model(tmp_path / one / "checkpoints" / "last.ckpt", Topology).eval() for one in names]
        return models[0] if seeds is None else models

    return train


@torch.no_grad()
def held_out(model, data, size=500):
    return {
        k: float(v)
        for k, v in model.measure(data.generate(size, torch.Generator().manual_seed(9))).means.items()
        if v.dim() == 0
    }


def size(model):
    return sum(parameter.numel() for parameter in model.parameters())


COPY = "--model ManyToMany --data NTMCopy --data.max_length 10 --data.width 4 --data.batch_size 16"
AS_GRAVES = "--optimizer RMSprop --optimizer.lr 1e-3 --optimizer.momentum 0.9 --trainer.gradient_clip_val 1"


def test_ntm_copies_twice_the_length_that_it_was_trained_on(fit):
    """Not every seed finds the algorithm that goes on for ever; of these four the median does."""
    machines = fit(
        "ntm",
        f"{COPY} {AS_GRAVES} --trainer.max_steps 600 --model.core NTM --model.core.cell FeedForward",
        "--model.core.hidden_size 16 --model.core.rows 64 --model.core.width 16",
        seeds=range(4),
    )
    lstm = fit("lstm", f"{COPY} {AS_GRAVES} --trainer.max_steps 2000 --model.core.hidden_size 64")
    assert size(lstm) > size(machines[0])
    longer = NTMCopy(min_length=20, max_length=20, width=4)
    copies, guesses = [held_out(machine, longer, 100) for machine in machines], held_out(lstm, longer)
    print(size(machines[0]), copies, size(lstm), guesses)
    assert median(copy["accuracy"] for copy in copies) > 0.95
    assert max(copy["sequences_right"] for copy in copies) > 0.95
    # Half of the bits are right by chance.
    assert guesses["accuracy"] < 0.7
    assert guesses["sequences_right"] == 0


FACTS = "--model ManyToOne --model.embedding_size null --data SingleFact --data.batch_size 32"
QUESTIONS = "--trainer.gradient_clip_val 10 --trainer.max_steps 1000"


def test_memory_network_beats_lstm_on_single_facts(fit):
    network = fit(
        "memory",
        f"{FACTS} {QUESTIONS} --model.core MemoryNetwork --model.core.hidden_size 32 --optimizer.lr 1e-2",
    )
    lstm = fit("lstm", f"{FACTS} {QUESTIONS} --model.core.hidden_size 64 --optimizer.lr 5e-3")
    assert size(lstm) > size(network)
    data = SingleFact()
    answers, guesses = held_out(network, data), held_out(lstm, data)
    print(size(network), answers, size(lstm), guesses)
    assert answers["accuracy"] > 0.95
    assert guesses["accuracy"] < 0.6


DIGITS = "--model ManyToOne --data Digits --data.batch_size 32 --trainer.max_steps 1000"


def accuracy_on_digits(model):
    """Return the accuracy on the 718 images that are held out; nothing was chosen by them."""
    data = Digits()
    batches = [batch for split in ("validation", "test") for batch in data.loader(split)]
    with torch.no_grad():
        right = sum(float(model.measure(b).means["accuracy"]) * len(b.targets) for b in batches)
    return right / sum(len(b.targets) for b in batches)


def test_digits_by_sweeps_over_the_image_and_by_rows(fit):
    renet = fit(
        "renet",
        f"{DIGITS} --optimizer.lr 3e-3 --model.core ReNet --model.core.cell GRU --model.core.hidden_size 64",
    )
    rows = fit("rows", f"{DIGITS} --optimizer.lr 5e-3 --model.core.hidden_size 64")
    of_sweeps, of_rows = accuracy_on_digits(renet), accuracy_on_digits(rows)
    print(size(renet), of_sweeps, size(rows), of_rows)
    assert of_sweeps > 0.96
    assert of_rows > 0.95


ADDING = "--model ManyToOne --data AddingProblem --data.length 200 --data.batch_size 32"
MANY_STEPS = "--optimizer.lr 5e-3 --trainer.gradient_clip_val 1 --trainer.max_steps 1200"


def test_attention_finds_what_a_last_state_lost(fit):
    attending = fit(
        "attention",
        f"{ADDING} {MANY_STEPS} --model.core AttentionSummary --model.core.encoder.hidden_size 32",
    )
    lstm = fit("lstm", f"{ADDING} {MANY_STEPS} --model.core.hidden_size 48")
    assert size(lstm) > size(attending)
    data = AddingProblem(length=200)
    found, lost = held_out(attending, data), held_out(lstm, data)
    print(size(attending), found, size(lstm), lost)
    # Answering 1 has an error of 1/6.
    assert found["loss"] < 0.01
    assert lost["loss"] > 0.1
