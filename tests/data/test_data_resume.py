"""Training that was stopped goes on with exactly the next batch, as a real Trainer sees it."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_seq.data import AddingProblem, Batch, Shakespeare, Text, TextClassification


class Recorder(L.LightningModule):
    """Writes down at which step it is given what."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained = []
        self.validated = []

    def training_step(self, batch: Batch, batch_idx: int):
        self.trained.append((batch_idx, self.global_step, content(batch)))
        return self.weight**2

    def validation_step(self, batch: Batch):
        if not self.trainer.sanity_checking:
            self.validated.append((self.global_step, content(batch)))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class AfterValidation(L.Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


def content(batch):
    return batch.inputs.tolist(), batch.targets.tolist()


def fit(data, callbacks=(), ckpt_path=None, **trainer):
    module = Recorder()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    checkpointing = {"callbacks": list(callbacks), "enable_checkpointing": bool(callbacks)}
    L.Trainer(accelerator="cpu", **quiet, **checkpointing, **trainer).fit(module, data(), ckpt_path=ckpt_path)
    return module


def adding(**arguments):
    return AddingProblem(length=4, batch_size=2, train_batches=5, validation_size=6, seed=3, **arguments)


def shakespeare():
    return Shakespeare(max_characters=2200, batch_size=4, chunk_length=90, validation_fraction=0.1)


@pytest.fixture
def labelled(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"w{i} w{i},{i % 3}\n" for i in range(20)))
    source = {"path": "csv", "data_files": str(file), "load_options": {"cache_dir": str(tmp_path / "cache")}}
    fractions = {"test_fraction": 0.0, "validation_fraction": 0.3}
    return lambda: TextClassification(**source, **fractions, batch_size=3, seed=1)


@pytest.fixture
def streamed(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text("".join(f"line {i}\n" for i in range(200)))
    source = {"path": "text", "data_files": str(file), "load_options": {"cache_dir": str(tmp_path / "cache")}}
    return lambda: Text(**source, batch_size=3, chunk_length=90, test_fraction=0.0, streaming=True)


def saving(folder):
    return [
        ModelCheckpoint(folder / "step", every_n_train_steps=1, save_top_k=-1),
        ModelCheckpoint(folder / "epoch", every_n_epochs=1, save_top_k=-1, save_on_train_epoch_end=True),
        AfterValidation(folder / "validation"),
    ]


def assert_goes_on(checkpoint, whole, data, schedule, callbacks=()):
    done = torch.load(checkpoint, weights_only=False)["global_step"]
    resumed = fit(data, callbacks, ckpt_path=checkpoint, **schedule)
    assert resumed.trained == whole.trained[done:], checkpoint
    # A validation that was due at the checkpoint's own step is never made up for: that is Lightning's way.
    assert resumed.validated == [seen for seen in whole.validated if seen[0] > done], checkpoint


VALIDATING = {"max_steps": 13, "val_check_interval": 2}

CASES = {
    "by steps": ("adding", {"max_steps": 13}),
    "by epochs": ("adding", {"max_epochs": 3}),
    "epochs cut short": ("adding", {"max_steps": 13, "limit_train_batches": 4}),
    "validation mid-epoch": ("adding", VALIDATING),
    "validation across epochs": ("adding", {**VALIDATING, "check_val_every_n_epoch": None}),
    "streams": ("shakespeare", VALIDATING),
    "streams from the disk": ("streamed", VALIDATING),
    "shuffled": ("labelled", VALIDATING),
}


@pytest.mark.parametrize(("name", "schedule"), CASES.values(), ids=CASES.keys())
def test_resumes_at_the_next_batch(name, schedule, request, tmp_path):
    generated = {"adding": adding, "shakespeare": shakespeare}
    data = generated.get(name) or request.getfixturevalue(name)
    whole = fit(data, saving(tmp_path), **schedule)
    length = schedule.get("limit_train_batches", 5)
    assert [i for i, _, _ in whole.trained] == [step % length for step in range(len(whole.trained))]
    seen = [batch for _, _, batch in whole.trained]
    assert len({str(batch) for batch in seen}) == (5 if name in ("shakespeare", "streamed") else len(seen))

    checkpoints = sorted((tmp_path / "step").iterdir()) + sorted((tmp_path / "validation").iterdir())
    # Lightning 2.6 itself loses its place in a checkpoint from an epoch's end where validation is elsewhere.
    if "val_check_interval" not in schedule:
        checkpoints += sorted((tmp_path / "epoch").iterdir())
    for checkpoint in checkpoints:
        assert_goes_on(checkpoint, whole, data, schedule)


def test_other_ways_of_the_trainer(tmp_path):
    module = fit(adding, max_steps=7, overfit_batches=2)
    assert [i for i, _, _ in module.trained] == [0, 1, 0, 1, 0, 1, 0]
    module = fit(adding, max_steps=7, limit_val_batches=1)
    assert [step for step, _ in module.validated] == [5]
    module = fit(lambda: AddingProblem(length=3, validation_size=0, train_batches=2), max_epochs=2)
    assert len(module.trained) == 4
    assert module.validated == []


def test_resumes_what_was_resumed(tmp_path):
    schedule = {"max_steps": 13}
    whole = fit(adding, saving(tmp_path / "0"), **schedule)
    checkpoint = tmp_path / "0/epoch/epoch=0-step=5.ckpt"
    for life in ("1", "2"):
        assert_goes_on(checkpoint, whole, adding, schedule, saving(tmp_path / life))
        for again in (tmp_path / life).rglob("*.ckpt"):
            assert_goes_on(again, whole, adding, schedule)
        (checkpoint,) = (tmp_path / life / "epoch").glob("*step=10.ckpt")
