"""Clipping by norm and by value, and the norms before and after it in the log, of every topology."""

from functools import partial

import lightning as L
import pandas as pd
import pytest
import torch

from lit_seq.cells import GRU
from lit_seq.cli import main
from lit_seq.cores import Stack
from lit_seq.data import Batch, Task, Vocabulary
from lit_seq.packing.run import run_pack
from lit_seq.topologies import LanguageModel, ManyToMany, ManyToOne, OutputFeedback

pytestmark = pytest.mark.usefixtures("double")

STEPS = {"inputs": "vectors", "input_size": 3, "targets": "values", "target_size": 2, "alignment": "step"}
TEXT = Task("tokens", 4, "classes", 4, "next", Vocabulary("character", tuple("�abc")).to_dict())
MODELS = {
    "ManyToOne": partial(ManyToOne, Task(**{**STEPS, "alignment": "sequence"}), omega=0.1),
    "ManyToMany": partial(ManyToMany, Task(**STEPS), step_gradients="sum"),
    "LanguageModel": partial(LanguageModel, TEXT, embedding_size=4),
    "OutputFeedback": partial(OutputFeedback, Task(**STEPS), sampling=0.5),
}


def batch_for(name):
    if name == "LanguageModel":
        return Batch(torch.randint(4, (3, 6)), torch.randint(4, (3, 6)))
    return Batch(torch.randn(3, 6, 3), torch.randn(3, 2) if name == "ManyToOne" else torch.randn(3, 6, 2))


class Gradients(L.Callback):
    """Keeps the gradients that clipping finds."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.before = [parameter.grad.clone() for parameter in pl_module.parameters()]


def norm(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["norm", "value", None])
def test_gradients_are_clipped_and_their_norms_logged(name, kind):
    torch.manual_seed(0)
    model = MODELS[name](core=partial(Stack, cell=GRU, hidden_size=4, layers=2))
    logged, gradients = {}, Gradients()
    model.log = lambda key, value, **options: logged.update({key: value.detach()})
    model.log_dict = lambda values, **options: None
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = L.Trainer(
        accelerator="cpu",
        precision="64-true",
        max_steps=1,
        log_every_n_steps=1,
        gradient_clip_val=None if kind is None else 0.01,
        gradient_clip_algorithm=kind,
        callbacks=[gradients],
        **dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
        ),
    )
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    trainer.fit(model, torch.utils.data.DataLoader([batch_for(name)], batch_size=None))
    expected = gradients.before
    assert norm(expected) > 0.02
    if kind == "norm":
        expected = [gradient * 0.01 / norm(gradients.before) for gradient in expected]
    elif kind == "value":
        expected = [gradient.clamp(-0.01, 0.01) for gradient in expected]
        assert any((gradient.abs() == 0.01).any() for gradient in expected)
    taken = [
        (before - after.detach()) / 0.1 for before, after in zip(weights, model.parameters(), strict=True)
    ]
    # clip_grad_norm_ adds 1e-6 to the norm.
    torch.testing.assert_close(taken, expected, rtol=1e-4, atol=1e-12)
    torch.testing.assert_close(logged["train/gradient_norm"], norm(gradients.before), rtol=1e-10, atol=0)
    if kind is None:
        assert "train/gradient_norm_clipped" not in logged
    else:
        torch.testing.assert_close(logged["train/gradient_norm_clipped"], norm(expected), rtol=1e-4, atol=0)


THRESHOLDS = [("0.05", "norm"), ("0.01", "value"), (None, "norm")]


def command(folder, name, index):
    value, kind = THRESHOLDS[index]
    clip = [] if value is None else [f"--trainer.gradient_clip_val={value}"]
    return [
        *("fit", "--model=OutputFeedback", "--model.core.cell=Jordan", "--model.core.hidden_size=4"),
        *("--data=RunningSum", "--data.length=6", "--data.batch_size=4", "--trainer.limit_val_batches=1"),
        *("--trainer.max_steps=6", "--trainer.log_every_n_steps=1", "--trainer.precision=64-true"),
        *("--trainer.enable_progress_bar=false", "--wandb.mode=disabled", f"--seed_everything={index}"),
        *(*clip, f"--trainer.gradient_clip_algorithm={kind}"),
        *("--runs_dir", str(folder), "--name", f"{name}{index}", f"--model.sampling=0.{index}"),
    ]


def test_each_trial_of_a_pack_logs_its_own_norms(tmp_path, capsys):
    assert run_pack([command(tmp_path, "packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index, (value, kind) in enumerate(THRESHOLDS):
        assert main(command(tmp_path, "solo", index)) == 0
        packed, solo = (
            pd.read_csv(tmp_path / f"{name}{index}" / "metrics.csv").filter(regex="train/").dropna()
            for name in ("packed", "solo")
        )
        pd.testing.assert_frame_equal(packed[list(solo)], solo, rtol=1e-8)
        assert ("train/gradient_norm_clipped" in solo) == (value is not None)
        if kind == "norm" and value is not None:
            assert (solo["train/gradient_norm"] > 0.05).any()
            assert (solo["train/gradient_norm_clipped"] <= 0.05).all()
