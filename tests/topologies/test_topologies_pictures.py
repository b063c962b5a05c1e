"""Images and films from the command line to predictions: packs, checkpoints, samples, and what is learned."""

import base64
import io
import json
import sys
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lit_seq.cli import main
from lit_seq.packing.run import run_pack

pytest.importorskip("sklearn.datasets")
sys.path.insert(0, str(Path(__file__).parents[1] / "packing"))

from test_packing_equality import assert_same_run

QUIET = ["--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"]
SMALL = ["--model.core.cell", "GRU", "--model.core.hidden_size", "5", "--model.embedding_size", "8"]
TASKS = {
    "film to class": ["--model", "ManyToOne", *SMALL, "--data", "MovingDigits", "--data.frames", "3"],
    "film to class a frame": [
        *("--model", "ManyToMany", *SMALL, "--data", "MovingDigits", "--data.frames", "3"),
        *("--data.asked", "directions"),
    ],
    "film to caption": [
        *("--model", "EncoderDecoder", "--model.embedding_size", "8", "--data", "MovingDigits"),
        *("--data.frames", "3", "--data.asked", "caption"),
    ],
    "image to caption": [
        *("--model", "OneToMany", *SMALL, "--model.image_features", "8", "--model.attention", "additive"),
        *("--data", "CaptionedShapes"),
    ],
}
SIZES = ["--data.batch_size", "4", "--data.train_batches", "4", "--data.validation_size", "6"]


def fit(folder, name, options, *further):
    return ["fit", *options, *QUIET, "--runs_dir", str(folder), "--name", name, *further]


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pixels(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


@pytest.mark.parametrize(
    "task",
    [
        "film to class",
        pytest.param("image to caption", marks=pytest.mark.slow),
        pytest.param("film to class a frame", marks=pytest.mark.slow),
        pytest.param("film to caption", marks=pytest.mark.slow),
    ],
)
def test_packed_trials_equal_solo_runs(tmp_path, capsys, task):
    common = [*TASKS[task], *SIZES, "--trainer.max_steps", "6", "--trainer.precision", "64-true"]
    common += ["--trainer.log_every_n_steps", "1"]
    trials = [["--seed_everything", str(seed), "--optimizer.lr", str(0.002 * seed)] for seed in (1, 2, 3)]
    packed = [fit(tmp_path, f"packed{i}", common, *trial) for i, trial in enumerate(trials)]
    assert run_pack(packed) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "in parts" not in said
    assert "one by one" not in said
    for i, trial in enumerate(trials):
        assert main(fit(tmp_path, f"solo{i}", common, *trial)) == 0
        assert_same_run(tmp_path / f"packed{i}", tmp_path / f"solo{i}", 1e-8)


@pytest.mark.parametrize("task", TASKS)
def test_a_checkpoint_predicts_and_samples_show_the_picture(tmp_path, task):
    assert main(fit(tmp_path, "run", [*TASKS[task], *SIZES, "--trainer.max_steps", "4"])) == 0
    checkpoint = str(tmp_path / "run/checkpoints/last.ckpt")
    assert main(["predict", "--ckpt_path", checkpoint, "--data.test_size", "3", *QUIET]) == 0
    predictions = rows(tmp_path / "run/predictions.jsonl")
    assert len(predictions) == 3
    assert {"prediction", "target"} <= set(predictions[0])
    shown = [row for row in rows(tmp_path / "run/samples.jsonl") if row["kind"] == "answer"]
    if task == "film to class a frame":
        return
    # Frames of 16×16 pixels, four times enlarged, with a gap of four pixels between two; an image of 24×24.
    assert {pixels(row["image"]).size for row in shown} == {(72, 72) if "image" in task else (3 * 68 - 4, 64)}


def picture_folder(root):
    """Dark and light pictures with captions that say which they are."""
    for split, count in (("train", 24), ("validation", 6), ("test", 6)):
        place = root / split
        place.mkdir(parents=True)
        captions = []
        for number in range(count):
            light = number % 2
            noise = np.random.default_rng(number).integers(0, 60, (8, 8, 3))
            Image.fromarray((noise + 190 * light).astype(np.uint8)).save(place / f"{number}.png")
            captions.append(f"{number}.png,{'a light picture' if light else 'dark'}\n")
        (place / "metadata.csv").write_text("file_name,caption\n" + "".join(captions), encoding="utf-8")


def test_captions_of_a_folder_are_learned_and_told_without_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    picture_folder(tmp_path / "pictures")
    data = [
        "--data",
        "Captioning",
        "--data.path",
        "imagefolder",
        "--data.data_dir",
        str(tmp_path / "pictures"),
    ]
    model = ["--model", "OneToMany", *SMALL, "--model.image_features", "8", "--optimizer.lr", "0.02"]
    assert (
        main(fit(tmp_path, "run", [*model, *data, "--data.batch_size", "8", "--trainer.max_steps", "90"]))
        == 0
    )
    metrics = pd.read_csv(tmp_path / "run/metrics.csv")
    assert metrics["val/exact_match"].dropna().iloc[-1] == 1
    assert main(["predict", "--ckpt_path", str(tmp_path / "run/checkpoints/last.ckpt"), *QUIET]) == 0
    found = rows(tmp_path / "run/predictions.jsonl")
    assert [row["prediction"] for row in found] == ["dark", "a light picture"] * 3
    for row in found:
        bright = np.asarray(pixels(row["image"])).mean() > 128
        assert row["prediction"] == ("a light picture" if bright else "dark")


def last(folder, metric):
    return pd.read_csv(folder / "metrics.csv")[metric].dropna().iloc[-1]


@pytest.mark.proof
@pytest.mark.parametrize(
    ("model", "asked", "steps", "size"),
    [
        ("ManyToOne", "direction", 400, 16),
        ("ManyToOne", "digit", 1000, 16),
        ("ManyToMany", "directions", 1200, 12),
    ],
)
def test_moving_digits_are_told_from_films(tmp_path, model, asked, steps, size):
    data = ["--data", "MovingDigits", "--data.asked", asked, "--data.size", str(size)]
    options = ["--model", model, "--model.core.cell", "GRU", "--model.core.hidden_size", "64"]
    optimiser = ["--optimizer.lr", "0.003", "--data.train_batches", "200", "--trainer.max_steps", str(steps)]
    assert main(fit(tmp_path, "run", [*options, *data, *optimiser])) == 0
    assert last(tmp_path / "run", "val/accuracy") > 0.9


@pytest.mark.slow
def test_the_last_frame_alone_does_not_tell_the_direction(tmp_path):
    data = ["--data", "MovingDigits", "--data.train_batches", "200"]
    model = ["--model", "ManyToOne", "--model.core.cell", "FeedForward", "--model.core.hidden_size", "64"]
    assert (
        main(fit(tmp_path, "run", [*model, *data, "--optimizer.lr", "0.003", "--trainer.max_steps", "200"]))
        == 0
    )
    assert last(tmp_path / "run", "val/accuracy") < 0.35


@pytest.mark.proof
def test_shapes_are_captioned_exactly(tmp_path):
    data = ["--data", "CaptionedShapes", "--data.train_batches", "800", "--data.validation_size", "500"]
    model = [
        *("--model", "OneToMany", "--model.core.cell", "GRU", "--model.core.hidden_size", "128"),
        *("--model.attention", "additive", "--model.context", "both"),
    ]
    optimiser = ["--optimizer", "Adam", "--optimizer.lr", "0.002", "--trainer.max_steps", "800"]
    assert main(fit(tmp_path, "run", [*model, *data, *optimiser])) == 0
    assert last(tmp_path / "run", "val/exact_match") > 0.9
