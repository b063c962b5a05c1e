"""Buffers that are in no state_dict stay out of a pack's checkpoints too."""

import torch

from lit_seq.cli import main
from lit_seq.packing.run import run_pack


def command(folder, index, *options):
    return [
        *("fit", "--model=ManyToOne", "--model.embedding_size=null", "--model.core=MemoryNetwork"),
        *("--model.core.hidden_size=4", "--data=SingleFact", "--data.sentences=3", "--data.batch_size=4"),
        *("--data.validation_size=8", "--trainer.enable_progress_bar=false", "--wandb.mode=disabled"),
        *(f"--seed_everything={index}", "--runs_dir", str(folder), "--name", str(index), *options),
    ]


def test_a_pack_is_saved_loaded_and_resumed(tmp_path, capsys):
    for steps, resume in ((3, []), (6, ["--ckpt_path=last"])):
        options = [f"--trainer.max_steps={steps}", *resume]
        assert run_pack([command(tmp_path, index, *options) for index in range(2)]) == [0, 0]
        said = capsys.readouterr().err
        assert "A pack of 2 trials" in said
        assert "goes on in parts" not in said
    assert main(command(tmp_path, 2, "--trainer.max_steps=6")) == 0
    packed, solo = (
        torch.load(tmp_path / str(index) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for index in (1, 2)
    )
    assert list(packed) == list(solo)
    checkpoint = str(tmp_path / "0" / "checkpoints" / "last.ckpt")
    assert main(["test", "--ckpt_path", checkpoint, "--trainer.limit_test_batches=1"]) == 0
