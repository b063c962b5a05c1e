"""The state that goes from one chunk of a text to the next: every causal core, every cell."""

import inspect
import io
from functools import partial

import lightning as L
import pandas as pd
import pytest
import torch
from torch.utils._pytree import tree_leaves

import lit_seq.cells
from lit_seq.cells import Cell, FeedForward, Jordan
from lit_seq.cli import main
from lit_seq.cores import NTM, Stack
from lit_seq.data import Batch, Task, Vocabulary
from lit_seq.packing.run import run_pack
from lit_seq.topologies import LanguageModel

CELLS = [
    cell
    for cell in (getattr(lit_seq.cells, name) for name in lit_seq.cells.__all__)
    # Jordan's network has no state of its own.
    if inspect.isclass(cell)
    and issubclass(cell, Cell)
    and not inspect.isabstract(cell)
    and cell is not Jordan
]
CORES = {
    "stack": partial(Stack, hidden_size=8),
    "deep": partial(Stack, hidden_size=8, layers=2, skips="dense", learned_initial_state=True),
    "ntm": partial(NTM, hidden_size=8, rows=6, width=3, read_heads=2, learned_initial_state=True),
}
TASK = Task("tokens", 5, "classes", 5, "next", Vocabulary("character", tuple("�abcd")).to_dict())

QUICK = ("LSTM", "Clockwork", "Skip")
PRODUCT = pytest.mark.parametrize(
    ("core", "cell"),
    [
        pytest.param(
            core,
            cell,
            id=f"{core}-{cell.__name__}",
            marks=[] if core == "stack" or cell.__name__ in QUICK else pytest.mark.slow,
        )
        for core in CORES
        for cell in CELLS
    ],
)

pytestmark = pytest.mark.usefixtures("double")


def build(core, cell, seed=0):
    torch.manual_seed(seed)
    model = LanguageModel(TASK, partial(CORES[core], cell=cell), embedding_size=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.1)
    return model


def chunks(number, length=5):
    """Batches of 3 texts, cut into pieces."""
    torch.manual_seed(1)
    text = torch.randint(5, (3, number * length + 1))
    return [
        Batch(text[:, at : at + length], text[:, at + 1 : at + length + 1])
        for at in range(0, number * length, length)
    ]


def whole(batches):
    return Batch(*(torch.cat(parts, 1) for parts in zip(*(batch[:2] for batch in batches), strict=True)))


def loader(batches):
    return torch.utils.data.DataLoader(batches, batch_size=None)


def trainer(**options):
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return L.Trainer(accelerator="cpu", precision="64-true", **{**dict.fromkeys(quiet, False), **options})


@PRODUCT
def test_validation_of_chunks_is_that_of_the_whole_text(core, cell):
    model, batches = build(core, cell).eval(), chunks(3)
    with torch.no_grad():
        expected = model.measure(whole(batches)).means["loss"]
        apart = torch.stack([model.measure(batch).means["loss"] for batch in batches]).mean()
    (found,) = trainer().validate(model, loader(batches), verbose=False)
    assert found["val/loss"] == pytest.approx(float(expected), rel=1e-6)
    if not isinstance(model.core, NTM) and cell is FeedForward:
        return
    assert found["val/loss"] != pytest.approx(float(apart), rel=1e-6)


@PRODUCT
def test_sampling_goes_on_from_the_state(core, cell):
    model = build(core, cell).eval()
    text = "abc"
    for _ in range(6):
        tokens = model.vocabulary.encode(text)
        outputs, _ = model.core(model.features(tokens.unsqueeze(0)))
        text += model.vocabulary.decode(model.head(outputs[-1, 0]).argmax(-1, keepdim=True))
    assert model.sample("abc", 6, temperature=0) == text[3:]


@PRODUCT
def test_training_goes_on_from_the_state_and_differentiates_no_further(core, cell):
    model, batches = build(core, cell), chunks(2)
    first, second = batches
    # At a rate of zero, so that only the state passes from one to the other.
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.0)
    trainer(max_steps=2).fit(model, loader(batches))
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    again = build(core, cell).train()
    with torch.no_grad():
        state = again.measure(first).state
    again.measure(second, state).means["loss"].backward()
    for name, parameter in again.named_parameters():
        if parameter.grad is None:
            assert found[name] is None or not found[name].any()
            continue
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-12, atol=1e-14)


@PRODUCT
def test_a_checkpoint_holds_the_state(core, cell):
    model, batches = build(core, cell), chunks(4)
    trainer(max_steps=2).fit(model, loader(batches[:2]))
    checkpoint = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    checkpoint = torch.load(file, weights_only=True)
    other = build(core, cell, seed=1)
    other.load_state_dict(checkpoint["state_dict"])
    other.on_load_checkpoint(checkpoint)
    for left, right in zip(tree_leaves(model._carried), tree_leaves(other._carried), strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
        assert left.shape[0] == 3
        assert not left.requires_grad
    one, two = (each.eval().objective(batches[2], each._carried)[1] for each in (model, other))
    assert torch.equal(one.means["loss"], two.means["loss"])


def test_a_resumed_state_comes_to_the_device():
    model = build("deep", lit_seq.cells.Clockwork)
    model.on_load_checkpoint({"carried_state": tree_leaves(model.core.initial_state(3))})
    model.to("meta").on_fit_start()
    assert {leaf.device.type for leaf in tree_leaves(model._carried)} == {"meta"}
    assert {leaf.dtype for leaf in tree_leaves(model._carried)} == {torch.float64, torch.int64}


RUNS = {
    "clockwork": ["--model.core.cell=Clockwork", "--model.core.layers=2"],
    "skip": ["--model.core.cell=Skip"],
    "ntm": ["--model.core=NTM", "--model.core.cell=GRU", "--model.core.rows=6", "--model.core.width=3"],
    "batch-norm": ["--model.core.cell=BatchNormLSTM"],
}


def command(folder, name, core, index, steps, *options):
    return [
        *("fit", "--model", "LanguageModel", *RUNS[core], "--model.core.hidden_size=8"),
        *("--model.core.learned_initial_state=true", "--model.embedding_size=4", "--data=Shakespeare"),
        *("--data.chunk_length=6", "--data.batch_size=4", "--trainer.limit_val_batches=2"),
        *("--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=5"),
        *("--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false", "--wandb.mode=disabled"),
        *(f"--trainer.max_steps={steps}", f"--seed_everything={index}", "--trainer.precision=64-true"),
        *("--runs_dir", str(folder), "--name", f"{name}{index}", *options),
    ]


def same(one, other):
    # A run's end is validated, so the one that was cut has a row more of that.
    left, right = (
        pd.read_csv(folder / "metrics.csv").filter(regex="step|train/").dropna(ignore_index=True)
        for folder in (one, other)
    )
    assert len(left) == 12
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    left, right = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=True) for f in (one, other))
    for key in ("state_dict", "carried_state", "optimizer_states"):
        torch.testing.assert_close(left[key], right[key], rtol=0, atol=0)


@pytest.mark.parametrize(
    "core",
    [
        "ntm",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("clockwork", "skip", "batch-norm")),
    ],
)
def test_a_resumed_run_equals_an_undisturbed_one(tmp_path, core):
    assert main(command(tmp_path, "whole", core, 0, 12)) == 0
    assert main(command(tmp_path, "cut", core, 0, 7)) == 0
    assert main(command(tmp_path, "cut", core, 0, 12, "--ckpt_path=last")) == 0
    same(tmp_path / "whole0", tmp_path / "cut0")


@pytest.mark.slow
@pytest.mark.parametrize("core", ["clockwork", "ntm"])
def test_a_resumed_pack_equals_an_undisturbed_one(tmp_path, capsys, core):
    assert run_pack([command(tmp_path, "whole", core, index, 12) for index in range(2)]) == [0, 0]
    assert run_pack([command(tmp_path, "cut", core, index, 7) for index in range(2)]) == [0, 0]
    resumed = [command(tmp_path, "cut", core, index, 12, "--ckpt_path=last") for index in range(2)]
    assert run_pack(resumed) == [0, 0]
    said = capsys.readouterr().err
    assert said.count("A pack of 2 trials") == 3
    assert "parts" not in said
    for index in range(2):
        same(tmp_path / f"whole{index}", tmp_path / f"cut{index}")
