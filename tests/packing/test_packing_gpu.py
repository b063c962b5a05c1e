"""A pack on Triton's kernels has what its trials have alone: on a GPU by cuDNN, else in the interpreter."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from lit_seq.cli import main
from lit_seq.packing.run import run_pack
from lit_seq.scan import gpu

pytest.importorskip("triton")
CUDA = torch.cuda.is_available()
COMMON = [
    *("fit", "--model", "LanguageModel", "--model.embedding_size", "4", "--data", "Shakespeare"),
    *("--data.chunk_length", "6", "--data.batch_size", "4", "--trainer.limit_val_batches", "2"),
    *("--model.core.hidden_size", "5", "--model.core.layers", "2", "--trainer.gradient_clip_val", "1"),
    *("--trainer.max_steps", "50" if CUDA else "12", "--trainer.log_every_n_steps", "1"),
    *("--trainer.accelerator", "gpu" if CUDA else "cpu", "--trainer.val_check_interval", "6"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(not CUDA, reason="no CUDA device")]
CELLS = {
    "tanh": ["Elman"],
    "relu": ["Elman", "--model.core.cell.activation", "relu", "--model.core.cell.recurrent_init", "identity"],
    "lstm": ["LSTM"],
    "gru": ["GRU"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["lstm", *(pytest.param(name, marks=on_a_gpu) for name in CELLS if name != "lstm")]
)
def test_a_pack_has_what_its_trials_have_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("LIT_SEQ_TRITON", "1")
    taken, loops = [], gpu.loops
    monkeypatch.setattr(gpu, "loops", lambda *of: taken.append(of) or loops(*of))
    for kind in ("alone", "packed"):
        common = [*COMMON, "--model.core.cell", *CELLS[name], "--runs_dir", str(tmp_path / kind)]
        trials = [
            [*common, f"--optimizer.lr={rate}", f"--seed_everything={seed}", "--name", f"{rate} {seed}"]
            for rate, seed in ((0.001, 1), (0.01, 2), (0.01, 3))
        ]
        if kind == "alone":
            assert [main(trial) for trial in trials] == [0, 0, 0]
            assert not taken
    assert run_pack(trials) == [0, 0, 0]
    assert "one by one" not in capsys.readouterr().err
    assert len(taken) >= 12
    for folder in (tmp_path / "alone").iterdir():
        alone, packed = (
            pd.read_csv(tmp_path / one / folder.name / "metrics.csv") for one in ("alone", "packed")
        )
        assert sorted(alone) == sorted(packed)
        for column in alone:
            pd.testing.assert_series_equal(alone[column], packed[column], rtol=1e-4)
