"""Pairs of texts through an encoder-decoder: in packs, and how well short verses are translated."""

import json

import pandas as pd
import pytest
import torch

from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.data import Verses
from lit_seq.metrics.texts import text_scores
from lit_seq.packing.run import run_pack
from lit_seq.topologies import EncoderDecoder

QUIET = ["--trainer.enable_progress_bar=false", "--wandb.mode=disabled"]


def test_trials_that_see_batches_of_other_lengths_pack(tmp_path, capsys):
    """Each seed draws other buckets, whose sources and targets a pack pads to their own longest."""
    with open(tmp_path / "train.jsonl", "w") as file:
        for i in range(40):
            file.write(json.dumps({"from": "ab" * (i % 7 + 1), "to": "ba" * (i % 5 + 1)}) + "\n")

    def command(name, seed):
        return [
            *("fit", "--model=EncoderDecoder", "--model.embedding_size=3", f"--seed_everything={seed}"),
            *("--model.encoder.hidden_size=4", "--model.decoder.hidden_size=5"),
            *("--data=Translation", "--data.path=json", f"--data.data_files={tmp_path}/train.jsonl"),
            *("--data.source_column=from", "--data.target_column=to", "--data.batch_size=6"),
            *("--data.source_unit=character", "--data.target_unit=character", "--optimizer.lr=0.05"),
            f"--data.load_options.cache_dir={tmp_path}/cache",
            *("--trainer.precision=64-true", "--trainer.max_steps=6", "--trainer.log_every_n_steps=1"),
            *(f"--runs_dir={tmp_path}", f"--name={name}{seed}", *QUIET),
        ]

    assert run_pack([command("packed", seed) for seed in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for seed in range(3):
        assert main(command("solo", seed)) == 0
        alone, packed = (pd.read_csv(tmp_path / f"{name}{seed}/metrics.csv") for name in ("solo", "packed"))
        assert len(alone["train/loss"].dropna()) == 6
        torch.testing.assert_close(
            torch.tensor(packed["train/loss"].dropna().to_numpy()),
            torch.tensor(alone["train/loss"].dropna().to_numpy()),
            rtol=1e-8,
            atol=0,
        )


def bleu(model, loader):
    """Return the BLEU of what the model writes greedily."""
    with torch.no_grad():
        rows = [row for batch in loader for row in model.rows(batch, model.measure(batch).answers)]
    return text_scores(rows, ["bleu"])["bleu"]


@pytest.mark.proof
def test_verses_are_translated(tmp_path):
    """Learned by heart as much as understood: BLEU is 17.2 on training pairs, 9.8 on held-out ones."""
    command = [
        *("fit", "--model", "EncoderDecoder", "--model.encoder.bidirectional", "true", "--data", "Verses"),
        *("--data.source_vocabulary_size", "1000", "--data.target_vocabulary_size", "1000"),
        *("--optimizer.lr", "0.004", "--trainer.gradient_clip_val", "1", "--trainer.max_epochs", "8"),
        *("--trainer.check_val_every_n_epoch", "8", "--seed_everything", "1"),
        *("--runs_dir", str(tmp_path), "--name", "verses", *QUIET),
    ]
    assert main(command) == 0
    model = load_model(tmp_path / "verses/checkpoints/last.ckpt", EncoderDecoder).eval()
    data = Verses(source_vocabulary_size=1000, target_vocabulary_size=1000, seed=1)
    known, unknown = bleu(model, data.train_dataloader()), bleu(model, data.val_dataloader())
    print(f"BLEU {known:.1f} on the training pairs, {unknown:.1f} on held-out ones")
    assert known > 15
    assert 8 < unknown < known / 1.5
