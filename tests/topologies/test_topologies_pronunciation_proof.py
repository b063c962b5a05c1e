"""What attention is worth: letters to phonemes, on words that training did not see."""

import pandas as pd
import pytest

from lit_seq.cli import main

COMMAND = [
    *("--model", "EncoderDecoder", "--model.encoder.cell=GRU", "--model.encoder.bidirectional=true"),
    *("--model.decoder.cell=GRU", "--data=Pronunciations", "--data.test_fraction=0.04"),
    *("--optimizer.lr=0.003", "--lr_scheduler=CosineAnnealingLR", "--lr_scheduler.T_max=3"),
    *("--trainer.gradient_clip_val=1", "--trainer.max_epochs=3", "--trainer.enable_progress_bar=false"),
    *("--wandb.mode=disabled", "--seed_everything=0"),
]


def errors(folder, name):
    """Train and return the part of phonemes that are wrong, written greedily and by beams."""
    options = [] if name == "attention" else ["--model.attention=null"]
    assert main(["fit", *COMMAND, *options, "--runs_dir", str(folder), "--name", name]) == 0
    checkpoint = ["--ckpt_path", str(folder / name / "checkpoints/last.ckpt")]
    found = []
    for search in ("Greedy", "Beam"):
        assert main(["test", *checkpoint, "--model.decoding", search]) == 0
        found.append(pd.read_csv(folder / name / "metrics.csv")["test/phoneme_error_rate"].dropna().iloc[-1])
    return found


@pytest.mark.proof
def test_attention_pronounces_words_that_it_never_saw(tmp_path):
    greedy, beam = errors(tmp_path, "attention")
    without, _ = errors(tmp_path, "none")
    print(f"phoneme errors: {greedy:.2%} greedy, {beam:.2%} by beams, {without:.2%} without attention")
    assert greedy < 0.12
    # An answer in a thousand is less than chance decides.
    assert beam < greedy + 0.001
    assert without > 1.3 * greedy
