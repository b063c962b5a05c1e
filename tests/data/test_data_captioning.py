from itertools import chain
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from lit_seq.data import IGNORED, Captioning, ImageClassification, Task, Vocabulary, picture_data
from lit_seq.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def image(brightness, height=4, width=6):
    """A picture of one colour that says which one it is."""
    return Image.fromarray(np.full((height, width, 3), (brightness, 10, 200), np.uint8))


def folder(captions, name="pictures", split="train", header="file_name,caption"):
    place = Path(name, split)
    place.mkdir(parents=True)
    for number in range(len(captions)):
        image(number).save(place / f"{number}.png")
    rows = [f"{number}.png,{caption}" for number, caption in enumerate(captions)]
    Path(place, "metadata.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    return {"path": "imagefolder", "data_dir": name}


def parquet(name="rows.parquet", features=None, **columns):
    features = None if features is None else datasets.Features(features)
    datasets.Dataset.from_dict(columns, features=features).to_parquet(name)
    return {"path": "parquet", "data_files": name}


def captioning(where, kind=Captioning, **arguments):
    return kind(**{"validation_fraction": 0.0, "test_fraction": 0.0, "seed": 1, **where, **arguments})


def pairs(data, loader):
    """Undo batches: the brightness that tells which picture it is, and its caption."""
    vocabulary = Vocabulary.from_dict(data.task.target_vocabulary)
    for batch in loader:
        assert batch.lengths is None
        for picture, tokens in zip(batch.inputs, batch.targets, strict=True):
            assert picture.flatten(1).unique(dim=1).shape[1] == 1
            counted = tokens[tokens != IGNORED]
            assert counted[-1] == vocabulary.end
            yield round(255 * picture[0, 0, 0].item()), vocabulary.decode(counted)


def test_an_image_folder_with_captions():
    data = captioning(folder(["a dog", "two small cats", "a cat"]), batch_size=2)
    vocabulary = {
        "unit": "word",
        "symbols": ("<unk>", "a", "cat", "cats", "dog", "small", "two"),
        "ends": True,
    }
    assert data.task == Task(
        *("image", 3, "classes", 8, "own"),
        target_vocabulary=vocabulary,
        target_length=4,
        image_size=(4, 6),
    )
    assert sorted(pairs(data, data.train_dataloader())) == [(0, "a dog"), (1, "two small cats"), (2, "a cat")]
    first = next(iter(data.train_dataloader()))
    assert first.inputs.shape == (2, 3, 4, 6)
    assert first.inputs[0, 1:, 2, 3].tolist() == pytest.approx([10 / 255, 200 / 255])


def test_several_captions_of_an_image_are_examples_of_their_own_in_one_split():
    images = {"image": [image(number) for number in range(40)]}
    captions = [[f"it is {number}", f"number {number}"] for number in range(40)]
    features = {"image": datasets.Image(), "captions": datasets.List(datasets.Value("string"))}
    where = parquet(features=features, captions=captions, **images)
    fractions = {"validation_fraction": 0.25, "test_fraction": 0.1}
    data = captioning(where, caption_column="captions", unit="character", **fractions)
    parts = [list(pairs(data, getattr(data, f"{part}_dataloader")())) for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [52, 20, 8]
    shown = [{number for number, _ in part} for part in parts]
    assert sum(len(numbers) for numbers in shown) == len(set.union(*shown)) == 40
    assert sorted(chain(*parts)) == sorted((n, caption) for n in range(40) for caption in captions[n])


def test_pictures_may_be_names_or_bytes_of_files_and_are_scaled_and_grey(here):
    image(100, 8, 8).save("p.png")
    Path("rows.csv").write_text("image,caption\np.png,grey\n", encoding="utf-8")
    named = captioning({"path": "csv", "data_files": "rows.csv"}, channels=1, image_size=(2, 3))
    stored = captioning(parquet(image=[Path("p.png").read_bytes()], caption=["grey"]), channels=1)
    # ITU-R 601 luma, as Pillow says of convert("L").
    luma = round(0.299 * 100 + 0.587 * 10 + 0.114 * 200) / 255
    for data, size in ((named, (2, 3)), (stored, (8, 8))):
        assert data.task.image_size == size
        assert data.task.input_size == 1
        inputs = next(iter(data.train_dataloader())).inputs
        torch.testing.assert_close(inputs, torch.full((1, 1, *size), luma))


def test_scaling_averages_over_what_a_pixel_covers():
    chess = np.indices((8, 8)).sum(0) % 2 * 255
    where = parquet(
        image=[Image.fromarray(chess.astype(np.uint8))],
        caption=["x"],
        features={"image": datasets.Image(), "caption": datasets.Value("string")},
    )
    inputs = next(iter(captioning(where, image_size=2, channels=1).train_dataloader())).inputs
    assert inputs.shape == (1, 1, 2, 2)
    torch.testing.assert_close(inputs, torch.full_like(inputs, 0.5), atol=0.01, rtol=0)


def test_long_captions_are_left_out_of_training_and_whole_elsewhere():
    where = folder(["a b c d", "a b", "a"])
    folder(["c d a b a"], split="test")
    data = captioning(where, max_length=3, vocabulary_size=4)
    assert sorted(pairs(data, data.train_dataloader())) == [(1, "a b"), (2, "a")]
    # With four symbols there is room for two words beside <unk> and the end.
    assert sorted(pairs(data, data.test_dataloader())) == [(0, "<unk> <unk> a b a")]
    assert data.task.target_length == 6


def test_pictures_beyond_what_is_kept_are_decoded_when_needed(monkeypatch):
    where = folder(["a", "b", "c", "d"])
    kept = list(pairs(data := captioning(where), data.train_dataloader()))
    monkeypatch.setattr(picture_data, "KEPT", 4 * 6 * 3 + 1)
    data = captioning(where)
    loader = data.train_dataloader()
    # Two were decoded at the start: the first one left a byte of room.
    for number in range(4):
        image(9).save(f"pictures/train/{number}.png")
    numbers = {caption: number for number, caption in pairs(data, loader)}
    assert sorted(kept) == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    assert sorted(numbers) == ["a", "b", "c", "d"]
    assert sorted(numbers.values())[-2:] == [9, 9]
    assert sorted(numbers.values())[0] < 4


def test_image_classification_knows_the_folders_as_classes():
    for kind in ("cat", "dog"):
        for split in ("train", "test"):
            Path(f"animals/{split}/{kind}").mkdir(parents=True)
            for number in range(3):
                image(100 * (kind == "dog") + number).save(f"animals/{split}/{kind}/{number}.png")
    data = captioning({"path": "imagefolder", "data_dir": "animals"}, ImageClassification, batch_size=6)
    assert data.task == Task("image", 3, "classes", 2, "sequence", labels=("cat", "dog"), image_size=(4, 6))
    for loader in (data.train_dataloader(), data.test_dataloader()):
        (batch,) = loader
        bright = (batch.inputs[:, 0, 0, 0] > 0.3).long()
        assert torch.equal(batch.targets, bright)
        assert sorted(batch.targets.tolist()) == [0, 0, 0, 1, 1, 1]


def test_labels_may_be_texts_and_missing():
    columns = {"image": [image(number) for number in range(3)], "kind": ["x", None, "y"]}
    features = {"image": datasets.Image(), "kind": datasets.Value("string")}
    data = captioning(parquet(features=features, **columns), ImageClassification, label_column="kind")
    (batch,) = data.train_dataloader()
    targets = dict(
        zip((batch.inputs[:, 0, 0, 0] * 255).round().tolist(), batch.targets.tolist(), strict=True)
    )
    assert targets == {0: 0, 1: IGNORED, 2: 1}


def wrong(where, kind=Captioning, **arguments):
    with pytest.raises(UserError) as error:
        _ = captioning(where, kind, **arguments).task
    return str(error.value)


def test_wrong_columns_and_captions_are_named():
    where = folder(["a", "b"])
    assert (
        wrong(where, caption_column="text") == "pictures has no column text; its columns are image, caption."
    )
    assert (
        wrong(where, image_column="photo") == "pictures has no column photo; its columns are image, caption."
    )
    assert wrong(parquet(image=[1], caption=["a"])) == (
        "column image of rows.parquet holds int64; pictures are images, or the bytes or names of image files."
    )
    assert wrong(folder(["a", " "], "blank")) == (
        "row 1 (counted from 0) of column caption of blank has an empty caption."
    )
    empty = parquet("none.parquet", image=[b"x"], caption=[[]])
    assert wrong(empty) == "row 0 (counted from 0) of column caption of none.parquet has an empty caption."
    assert wrong(parquet("numbers.parquet", image=[b"x"], caption=[7])) == (
        "row 0 (counted from 0) of column caption of numbers.parquet holds 7, which is no text."
    )
    assert wrong(where, max_length=2, unit="byte", test_fraction=0.9) == (
        "Captioning: pictures has no row to train on."
    )
    long = folder(["a b c"], "long")
    assert wrong(long, max_length=2) == ("no training caption has at most 2 symbols, as max_length asks.")


def test_broken_missing_and_odd_pictures_are_named():
    where = folder(["a", "b", "c"], "broken")
    png = Path("broken/train/1.png").read_bytes()
    place = (
        f"row 1 (counted from 0) of column image of broken, {Path('broken/train/1.png').absolute()}, holds"
    )
    Path("broken/train/1.png").write_bytes(png[:50])
    assert wrong(where).startswith(f"{place} no picture that can be read: ")
    Path("broken/train/1.png").write_text("no picture")
    assert wrong(where) == f"{place} no picture that can be read: its format is unknown."
    image(3, 5, 5).save("broken/train/1.png")
    assert wrong(where) == (
        f"{place} a picture of 5×5 pixels (height × width), and the first one has 4×6; set image_size"
        " to scale all to one size."
    )
    assert captioning(where, image_size=4).task.image_size == (4, 4)
    features = {"image": datasets.Image(), "caption": datasets.Value("string")}
    missing = parquet(image=[None], caption=["a"], features=features)
    assert wrong(missing) == "row 0 (counted from 0) of column image of rows.parquet has no picture."
    Path("rows.csv").write_text("image,caption\nnone.png,a\n", encoding="utf-8")
    assert wrong({"path": "csv", "data_files": "rows.csv"}) == (
        "row 0 (counted from 0) of column image of rows.csv, none.png, holds no picture that can be read:"
        " there is no such file."
    )


def test_wrong_arguments_are_named():
    where = {"path": "imagefolder", "data_dir": "x"}
    assert wrong(where, channels=2) == "Captioning: channels is 2; it must be 3 for colour or 1 for grey."
    assert wrong(where, image_size=0) == "Captioning: image_size is 0; it must be at least 1."
    assert wrong(where, max_length=1) == "Captioning: max_length is 1; it must be at least 2."
    assert wrong(where, vocabulary_size=2) == "Captioning: vocabulary_size is 2; it must be at least 3."
    labels = parquet(image=[b"", b""], label=["x", "y"], text=["", ""])
    message = wrong(labels, ImageClassification, splits={"train": "train[:1]", "test": "train[1:]"})
    assert message == "label 'y' of rows.parquet is in test; train has only x."
