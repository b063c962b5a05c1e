"""Checkpoints that are damaged, cut short, missing or hostile."""

import os
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from lit_seq.checkpoint_file import Damaged, read_checkpoint, write_checkpoint
from lit_seq.cli import main
from lit_seq.errors import UserError
from lit_seq.run_folder import Status

TINY = [
    *("fit", "--model", "LanguageModel", "--model.core.cell", "Elman", "--model.core.hidden_size", "4"),
    *("--data", "Shakespeare", "--data.chunk_length", "4", "--data.batch_size", "2"),
    *("--trainer.limit_train_batches", "4", "--trainer.limit_val_batches", "1", "--trainer.max_steps", "10"),
    *("--trainer.log_every_n_steps", "1", "--checkpoint.every_steps", "1", "--wandb.mode", "disabled"),
    *("--trainer.enable_progress_bar", "false"),
]
CONTENT = {
    "state_dict": {"weight": torch.arange(300.0)},
    "global_step": 7,
    "callbacks": {"a": {"b": [1, 2.5]}},
}


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_torch_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "one.ckpt"
    write_checkpoint(CONTENT, path)
    for content in (torch.load(path, weights_only=True), read_checkpoint(path)):
        torch.testing.assert_close(content["state_dict"], CONTENT["state_dict"], rtol=0, atol=0)
        assert content["callbacks"] == CONTENT["callbacks"]
    torch.save(CONTENT, path)
    assert read_checkpoint(path)["global_step"] == 7


def test_damage_is_found_or_does_no_harm(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.ckpt", tmp_path / "one.ckpt"
    write_checkpoint(CONTENT, whole)
    size, numbers, found = whole.stat().st_size, random.Random(1), 0
    ends = {*range(8 * (size - 100), 8 * size, 17), *(numbers.randrange(8 * size) for _ in range(60))}
    for bit in ends:
        shutil.copyfile(whole, path)
        flip(path, bit)
        try:
            content = read_checkpoint(path)
        except Damaged:
            found += 1
        else:
            torch.testing.assert_close(content["state_dict"], CONTENT["state_dict"], rtol=0, atol=0)
            assert bit // 8 >= size - 71
    assert found > 0.9 * len(ends)
    for length in (0, 1, 100, size // 2, size - 73, size - 72):
        path.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(Damaged):
            read_checkpoint(path)


def test_the_checkpoint_before_stays_until_the_new_one_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    write_checkpoint(CONTENT, path, previous)
    assert not previous.exists()
    write_checkpoint({**CONTENT, "global_step": 8}, path, previous)
    assert [read_checkpoint(one)["global_step"] for one in (previous, path)] == [7, 8]

    real = os.fsync

    def lose(handle: int) -> None:
        os.ftruncate(handle, 1000)
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lose)
        with pytest.raises(OSError, match="not what is read"):
            write_checkpoint({**CONTENT, "global_step": 9}, path, previous)
    assert [read_checkpoint(one)["global_step"] for one in (previous, path)] == [7, 8]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main([*TINY, "--runs_dir", str(folder.parent), "--name", "whole"]) == 0
    return folder


@pytest.fixture
def cut(tmp_path: Path, whole: Path) -> Path:
    """A run that lacks its last step, and its checkpoints of steps 9 and 8."""
    folder = tmp_path / "cut"
    assert main([*TINY, "--runs_dir", str(tmp_path), "--name", "cut", "--trainer.max_steps", "9"]) == 0
    return folder


def resume(folder: Path, *options: str) -> int:
    name = ["--runs_dir", str(folder.parent), "--name", folder.name]
    return main(["fit", *name, "--trainer.max_steps", "10", "--ckpt_path", "last", *options])


def assert_same(folder: Path, whole: Path) -> None:
    left, right = (pd.read_csv(one / "metrics.csv") for one in (folder, whole))
    pd.testing.assert_frame_equal(left[right.columns], right, check_exact=True)
    left, right = (read_checkpoint(one / "checkpoints" / "last.ckpt") for one in (folder, whole))
    torch.testing.assert_close(left["state_dict"], right["state_dict"], rtol=0, atol=0)
    assert Status.read(folder).state == "finished"


# By what is damaged or lost: what the log says.
FALLBACKS = {
    ("last.ckpt",): "going on from previous.ckpt, of step ",
    ("last.ckpt", "previous.ckpt"): "going on from best.ckpt, of step ",
    ("last.ckpt", "previous.ckpt", "best.ckpt"): "no good checkpoint: it starts anew",
}
BREAKS = {
    "flipped": lambda path: flip(path, 8 * 1000),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "lost": Path.unlink,
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", BREAKS)
@pytest.mark.parametrize("files", FALLBACKS, ids=len)
def test_a_run_goes_on_from_the_newest_good_checkpoint(
    cut: Path, whole: Path, capsys: pytest.CaptureFixture, files: tuple[str, ...], damage: str
) -> None:
    for name in files:
        BREAKS[damage](cut / "checkpoints" / name)
    (cut / "checkpoints" / ".last.ckpt.killed").touch()
    assert resume(cut) == 0
    said = capsys.readouterr().err
    assert FALLBACKS[files] in said
    assert said.count("damaged or cut short") == (0 if damage == "lost" else len(files))
    assert_same(cut, whole)
    assert {path.name for path in (cut / "checkpoints").iterdir()} <= {
        "last.ckpt",
        "previous.ckpt",
        "best.ckpt",
    }


@pytest.mark.slow
def test_what_is_named_is_not_replaced_by_another(cut: Path, capsys: pytest.CaptureFixture) -> None:
    path = cut / "checkpoints" / "best.ckpt"
    flip(path, 8 * 1000)
    name = ["--runs_dir", str(cut.parent), "--name", cut.name]
    for command in (["fit", *name, "--ckpt_path", "best"], ["test", "--ckpt_path", str(path)]):
        assert main(command) == 2
        assert "is damaged or cut short (its checksum is wrong)" in capsys.readouterr().err


class Code:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.makedirs, (str(self.marker), 0o777, True)


def test_code_in_a_checkpoint_is_not_run_unless_it_is_trusted(tmp_path: Path) -> None:
    path, marker = tmp_path / "one.ckpt", tmp_path / "it ran"
    write_checkpoint({**CONTENT, "code": Code(marker)}, path)
    with pytest.raises(UserError, match=r"\(os.makedirs\).* If you trust .*, give --weights_only false\.$"):
        read_checkpoint(path)
    assert not marker.exists()
    assert read_checkpoint(path, trusted=True)["global_step"] == 7
    assert marker.exists()


@pytest.mark.slow
def test_no_command_runs_code_in_a_checkpoint_unless_it_is_trusted(
    cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path, marker = cut / "checkpoints" / "last.ckpt", tmp_path / "it ran"
    write_checkpoint({**read_checkpoint(path), "code": Code(marker)}, path)
    named = ["--runs_dir", str(cut.parent), "--name", cut.name, "--ckpt_path", "last"]
    commands = [
        ["fit", *named],
        *([word, "--ckpt_path", str(path)] for word in ("validate", "test", "predict")),
    ]
    for command in (*commands, ["sample", "--ckpt", str(path)]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "(os.makedirs)" in said
        assert "If you trust where it comes from, give --weights_only false." in said
    assert not marker.exists()
    assert main(["sample", "--ckpt", str(path), "--length", "3", "--weights_only", "false"]) == 0
    assert marker.exists()
    marker.rmdir()
    assert resume(cut, "--weights_only", "false") == 0
    assert marker.exists()


def test_a_checkpoint_that_is_no_model_is_refused(tmp_path: Path) -> None:
    write_checkpoint({"weight": torch.zeros(1)}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="holds no model"):
        read_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.slow
def test_a_run_that_began_with_the_checkpoint_of_another_is_not_started_anew(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lit_seq.training.record import Record

    def crash(self: Record, *args: object) -> None:
        raise RuntimeError("crash")

    begin = [*TINY, "--runs_dir", str(tmp_path), "--name", "more", "--trainer.max_steps", "12"]
    with monkeypatch.context() as patch:
        patch.setattr(Record, "on_train_batch_start", crash, raising=False)
        assert main([*begin, "--ckpt_path", str(whole / "checkpoints" / "last.ckpt")]) == 1
    assert main([*begin, "--ckpt_path", "last"]) == 0
    assert pd.read_csv(tmp_path / "more" / "metrics.csv")["step"].min() == 10
