"""Each problem is learned by a suitable network in an easy form, by the command line as a user would type it.

Baselines are those of the problems' docstrings. Everything follows from seed 0, the default; seed 1 reaches
all thresholds as well.
"""

import json
import shlex

import pytest

from lit_seq.cli import main

CLASSIFY = "--model ManyToOne --model.core.cell"
TRANSDUCE = "--model ManyToMany --model.core.cell"

PROOFS = {
    # baseline: no string wholly right; half of them without the embedding symbol
    "embedded Reber, LSTM": (
        f"{TRANSDUCE} LSTM --model.core.hidden_size 32 --data EmbeddedReber --trainer.max_steps 1500"
        " --optimizer.lr 0.005",
        {"val/sequences_right": 0.99},
    ),
    "embedded Reber, GRU": (
        f"{TRANSDUCE} GRU --model.core.hidden_size 64 --data EmbeddedReber --trainer.max_steps 1500"
        " --optimizer.lr 0.005",
        {"val/sequences_right": 0.99},
    ),
    # baseline: 1/4
    "temporal order 6a, LSTM": (
        f"{CLASSIFY} LSTM --model.core.hidden_size 32 --data TemporalOrder --data.length 30"
        " --trainer.max_steps 800",
        {"val/accuracy": 0.99},
    ),
    # baseline: 1/8
    "temporal order 6b, LSTM": (
        f"{CLASSIFY} LSTM --model.core.hidden_size 32 --data TemporalOrder --data.length 30"
        " --data.relevant 3 --trainer.max_steps 1000",
        {"val/accuracy": 0.99},
    ),
    # baseline: 1/2
    "parity, LSTM": (
        f"{CLASSIFY} LSTM --model.core.hidden_size 32 --data Parity --data.length 6 --trainer.max_steps 1500",
        {"val/accuracy": 0.99},
    ),
    "parity at each step, LSTM": (
        f"{TRANSDUCE} LSTM --model.core.hidden_size 32 --data Parity --data.length 40 --data.each_step true"
        " --trainer.max_steps 1000",
        {"val/accuracy": 0.99},
    ),
    # baseline: 1/10; 11/20 with the digits but not which letter each belongs to
    "associative recall, LSTM": (
        f"{CLASSIFY} LSTM --model.core.hidden_size 64 --data AssociativeRecall --data.pairs 2"
        " --trainer.max_steps 2000 --optimizer.lr 0.005",
        {"val/accuracy": 0.9},
    ),
    # baseline: 1/2 of the bits, 1 bit a bit
    "copy, LSTM": (
        f"{TRANSDUCE} LSTM --model.core.hidden_size 64 --data NTMCopy --data.max_length 3 --data.width 4"
        " --trainer.max_steps 1500",
        {"val/sequences_right": 0.9},
    ),
    "repeat copy, LSTM": (
        f"{TRANSDUCE} LSTM --model.core.hidden_size 64 --data RepeatCopy --data.max_length 2"
        " --data.max_repeats 3 --data.width 3 --trainer.max_steps 1500",
        {"val/sequences_right": 0.9},
    ),
    # baseline: 1/3 by chance, 5/6 by the place of the last sentence
    "single fact, LSTM": (
        f"{CLASSIFY} LSTM --model.core.hidden_size 64 --data SingleFact --data.sentences 2 --data.people 2"
        " --data.places 3 --trainer.max_steps 1500 --optimizer.lr 0.005",
        {"val/accuracy": 0.98},
    ),
    # baseline: 1/10
    "digits by rows, LSTM": (
        f"{CLASSIFY} LSTM --model.core.hidden_size 128 --data Digits --trainer.max_steps 600",
        {"val/accuracy": 0.95},
    ),
    # baseline: 1/4
    "slow signal, LSTM": (
        f"{CLASSIFY} LSTM --model.core.hidden_size 32 --data SlowSignal --data.noise 0.3"
        " --trainer.max_steps 1000",
        {"val/accuracy": 0.9},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("line", "expected"), PROOFS.values(), ids=PROOFS)
def test_it_is_learned(tmp_path, line, expected):
    common = "--trainer.gradient_clip_val 1 --trainer.enable_progress_bar false --wandb.mode disabled"
    lr = "" if "optimizer.lr" in line else "--optimizer.lr 0.01"
    where = f"--runs_dir {tmp_path} --name run"
    assert main(shlex.split(f"fit {line} {lr} {common} {where}")) == 0
    metrics = json.loads((tmp_path / "run" / "status.json").read_text())["metrics"]
    for name, least in expected.items():
        assert metrics[name] >= least
