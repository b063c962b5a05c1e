"""Trials of each core give packed what they give alone, step by step."""

import pandas as pd
import pytest

from lit_seq.cli import main
from lit_seq.packing.run import run_pack

COMMON = [
    *("--trainer.precision", "64-true", "--trainer.max_steps", "20", "--trainer.log_every_n_steps", "1"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled", "--data.batch_size", "4"),
    *("--trainer.limit_val_batches", "0"),
]
COPY = ["--model", "ManyToMany", "--data", "NTMCopy", "--data.max_length", "4", "--data.width", "3"]
NTM = ["--model.core.hidden_size=6", "--model.core.rows=8", "--model.core.width=4"]
SETTINGS = {
    "dropout": [
        *("--model", "ManyToOne", "--data", "AddingProblem", "--data.length", "6"),
        *("--model.core.cell", "GRU", "--model.core.hidden_size", "5", "--model.core.layers", "3"),
        *("--model.core.skips", "dense", "--model.core.bidirectional", "true"),
    ],
    "ntm": [*COPY, "--model.core", "NTM", *NTM, "--model.core.learned_initial_state", "true"],
    "ntm-heads": [
        *(*COPY, "--model.core", "NTM", *NTM, "--model.core.cell", "FeedForward"),
        *("--model.core.read_heads", "2", "--model.core.write_heads", "2"),
    ],
    "attention": [
        *("--model", "ManyToOne", "--data", "TemporalOrder", "--model.core", "AttentionSummary"),
        *("--data.length", "12", "--model.core.encoder.hidden_size", "4", "--model.core.heads", "2"),
    ],
    "memory": [
        *("--model", "ManyToOne", "--data", "SingleFact", "--data.sentences", "3"),
        *("--model.embedding_size", "null", "--model.core", "MemoryNetwork", "--model.core.hidden_size", "5"),
    ],
    "renet": [
        *(
            "--model",
            "ManyToOne",
            "--data",
            "Digits",
            "--model.core",
            "ReNet",
            "--model.core.hidden_size",
            "4",
        ),
        *("--model.core.learned_initial_state", "true", "--model.core.patches", "[2, 1]"),
    ],
}


def command(folder, name, setting, index):
    """A trial; those of a pack differ in rate, seed and, where there is dropout, in each kind of it."""
    varied = [f"--optimizer.lr={0.002 * (1 + index)}", f"--seed_everything={index // 2}"]
    if setting == "dropout":
        kinds = ("dropout", "variational_dropout", "recurrent_dropout")
        varied += [f"--model.core.{kind}=0.{(index + place) % 3}" for place, kind in enumerate(kinds)]
    return [
        "fit",
        *COMMON,
        *SETTINGS[setting],
        *varied,
        "--runs_dir",
        str(folder),
        "--name",
        f"{name}{index}",
    ]


@pytest.mark.parametrize(
    "setting",
    ["dropout", "ntm", *(pytest.param(name, marks=pytest.mark.slow) for name in list(SETTINGS)[2:])],
)
def test_packed_trial_equals_solo_run(tmp_path, capsys, setting):
    assert run_pack([command(tmp_path, "packed", setting, index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command(tmp_path, "solo", setting, index)) == 0
        packed, solo = (
            pd.read_csv(tmp_path / f"{name}{index}" / "metrics.csv") for name in ("packed", "solo")
        )
        assert len(solo) == 20
        pd.testing.assert_frame_equal(packed[sorted(packed)], solo[sorted(solo)], rtol=1e-8, atol=0)
