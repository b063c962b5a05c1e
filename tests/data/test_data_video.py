from itertools import chain
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from lit_seq.data import IGNORED, Task, Video, Vocabulary
from lit_seq.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def image(brightness, height=4, width=4):
    return Image.fromarray(np.full((height, width), brightness, np.uint8))


def parquet(name="rows.parquet", **columns):
    """Write columns of images or of lists of images beside others."""
    known = {"image": datasets.Image(), "frames": datasets.List(datasets.Image())}
    inferred = datasets.Dataset.from_dict({k: v for k, v in columns.items() if k not in known}).features
    features = datasets.Features({k: known.get(k) or inferred[k] for k in columns})
    datasets.Dataset.from_dict(columns, features=features).to_parquet(name)
    return {"path": "parquet", "data_files": name}


def video(where, **arguments):
    held_out = {"validation_fraction": 0.0, "test_fraction": 0.0}
    return Video(**{**held_out, "seed": 1, "channels": 1, "batch_size": 10, **where, **arguments})


def clips(loader):
    """Undo batches: the brightness of each frame, and the target of the clip."""
    found = []
    for batch in loader:
        for frames, targets, length in zip(*batch[:3], strict=True):
            assert (frames[length:] == 0).all()
            numbers = (255 * frames[:length, 0, 0, 0]).round().int().tolist()
            found.append((numbers, targets.tolist()))
    return sorted(found)


FRAMES = [[1, 2, 3], [11, 12], [21, 22, 23, 24, 25]]
LISTED = [[image(number) for number in clip] for clip in FRAMES]


def test_lists_of_frames_with_a_class_a_clip():
    data = video(parquet(frames=LISTED, label=["run", "walk", "run"]), image_column="frames")
    assert data.task == Task("frames", 1, "classes", 2, "sequence", labels=("run", "walk"), image_size=(4, 4))
    (batch,) = data.train_dataloader()
    assert batch.inputs.shape == (3, 5, 1, 4, 4)
    assert sorted(batch.lengths.tolist()) == [2, 3, 5]
    assert clips([batch]) == [([1, 2, 3], 0), ([11, 12], 1), ([21, 22, 23, 24, 25], 0)]


def test_lists_of_frames_with_a_label_each_and_some_frames_only():
    labels = [["a", None, "b"], ["b", "a"], ["a", "b", "a", "a", "b"]]
    where = parquet(frames=LISTED, label=labels) | {"image_column": "frames", "labelled": "frame"}
    data = video(where)
    assert data.task.alignment == "step"
    assert clips(data.train_dataloader()) == [
        ([1, 2, 3], [0, IGNORED, 1, IGNORED, IGNORED]),
        ([11, 12], [1, 0, IGNORED, IGNORED, IGNORED]),
        ([21, 22, 23, 24, 25], [0, 1, 0, 0, 1]),
    ]
    data = video(where, every=2, max_frames=2)
    assert clips(data.train_dataloader()) == [([1, 3], [0, 1]), ([11], [1, IGNORED]), ([21, 23], [0, 0])]


def test_captions_of_clips():
    told = ["a man runs", ["he walks", "walking"], "they run"]
    told = [[caption] if isinstance(caption, str) else caption for caption in told]
    where = parquet(frames=LISTED, told=told)
    data = video(where, image_column="frames", caption_column="told")
    vocabulary = Vocabulary.from_dict(data.task.target_vocabulary)
    assert (data.task.alignment, data.task.target_length) == ("own", 4)
    found = [
        (frames, vocabulary.decode([t for t in target if t >= 0]))
        for frames, target in clips(data.train_dataloader())
    ]
    assert sorted(found) == [
        ([1, 2, 3], "a man runs"),
        ([11, 12], "he walks"),
        ([11, 12], "walking"),
        ([21, 22, 23, 24, 25], "they run"),
    ]


# Rows as flwrlabs/ucf101 has them, out of order.
ROWS = [
    (image(12), "v_b", "c1", 1, 1),
    (image(2), "v_a", "c1", 1, 0),
    (image(11), "v_b", "c1", 0, 1),
    (image(1), "v_a", "c1", 0, 0),
    (image(21), "v_a", "c2", 0, 1),
    (image(3), "v_a", "c1", 2, 0),
]
UCF101 = dict(
    zip(("image", "video_id", "clip_id", "frame", "label"), map(list, zip(*ROWS, strict=True)), strict=True)
)


def test_a_frame_a_row_as_ucf101_has_it():
    columns = {"clip_columns": ["video_id", "clip_id"], "order_column": "frame"}
    data = video(parquet(**UCF101), **columns)
    assert clips(data.train_dataloader()) == [([1, 2, 3], 0), ([11, 12], 1), ([21], 1)]
    data = video(parquet(**UCF101), **columns, labelled="frame", every=2)
    assert clips(data.train_dataloader()) == [([1, 3], [0, 0]), ([11], [1, IGNORED]), ([21], [1, IGNORED])]
    unordered = video(parquet(**UCF101), clip_columns=["video_id", "clip_id"])
    assert clips(unordered.train_dataloader())[1] == ([12, 11], 1)


def test_folders_of_frames():
    for split, kind, clip, frames in [
        ("train", "run", "a", 12),
        ("train", "walk", "a", 3),
        ("train", "run", "b", 2),
        ("test", "walk", "z", 2),
    ]:
        place = Path("films", split, kind, clip)
        place.mkdir(parents=True)
        for number in range(frames):
            # Named so that the order of characters is not that of numbers.
            image(number + 100 * (kind == "walk")).save(place / f"frame{number}.png")
    data = video({"path": "imagefolder", "data_dir": "films"})
    assert data.task.labels == ("run", "walk")
    assert clips(data.train_dataloader()) == [([0, 1], 0), (list(range(12)), 0), ([100, 101, 102], 1)]
    assert clips(data.test_dataloader()) == [([100, 101], 1)]


def test_held_out_clips_are_whole_and_the_same_for_every_seed():
    frames = [[image(5 * clip + step) for step in range(3)] for clip in range(20)]
    rows = {"image": list(chain(*frames)), "clip": [clip for clip in range(20) for _ in range(3)]}
    where = parquet(**rows, label=["x"] * 60) | {"clip_columns": ["clip"]}
    parts = []
    for seed in (1, 2):
        data = video(where, seed=seed, validation_fraction=0.25, test_fraction=0.1, batch_size=seed + 3)
        loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
        parts.append([clips(loader) for loader in loaders])
    assert parts[0] == parts[1]
    assert [len(part) for part in parts[0]] == [13, 5, 2]
    together = sorted(chain(*parts[0]))
    assert together == [([5 * clip, 5 * clip + 1, 5 * clip + 2], 0) for clip in range(20)]


def test_training_batches_have_clips_of_similar_lengths():
    frames = [[image(7)] * (1 + clip % 10) for clip in range(40)]
    data = video(parquet(frames=frames, label=[0] * 40), image_column="frames", batch_size=4)
    assert [len(set(batch.lengths.tolist())) for batch in data.train_dataloader()] == [1] * 10


def wrong(where, **arguments):
    with pytest.raises(UserError) as error:
        _ = video(where, **arguments).task
    return str(error.value)


def test_wrong_clips_are_named():
    listed = parquet(frames=LISTED, label=["x", "y", "x"]) | {"image_column": "frames"}
    assert wrong(listed, image_column="image") == (
        "rows.parquet has no column image; its columns are frames, label."
    )
    assert wrong(listed, label_column="kind") == (
        "rows.parquet has no column kind; its columns are frames, label."
    )
    place = "Video: row 0 (counted from 0) of column label of rows.parquet"
    assert wrong(listed, labelled="frame") == f"{place} holds no list; its clip has 3 frames."
    split = wrong(listed, splits={"train": "train[:1]", "test": "train[1:]"})
    assert split == "label 'y' of rows.parquet is in test; train has only x."
    listed = parquet(frames=LISTED, label=[["x", "y"], ["x", "y"], ["x"] * 5]) | {"image_column": "frames"}
    assert wrong(listed) == f"{place} holds a list; set labelled to frame for a label a frame."
    assert wrong(listed, labelled="frame") == f"{place} holds 2 labels; its clip has 3 frames."
    empty = parquet("none.parquet", frames=[LISTED[0], []], label=["x", "y"])
    assert wrong(empty, image_column="frames") == (
        "row 1 (counted from 0) of column frames of none.parquet has no frames."
    )
    single = parquet("single.parquet", image=[image(1)], label=["x"])
    assert wrong(single) == (
        "Video: column image of single.parquet holds single images that are no files in folders; name in"
        " clip_columns the columns that say to which clip a frame belongs."
    )
    mixed = parquet("mixed.parquet", image=[image(1), image(2)], clip=["a", "a"], label=["x", "y"])
    assert wrong(mixed, clip_columns=["clip"]) == (
        "Video: clip a of mixed.parquet has the labels 'x' and 'y'; set labelled to frame for a label a"
        " frame."
    )
    assert wrong(mixed, clip_columns=["film"]) == (
        "mixed.parquet has no column film; its columns are image, clip, label."
    )


def test_frames_of_different_sizes_are_named():
    frames = [[image(1)], [image(1), image(1, 5, 4)]]
    where = parquet(frames=frames, label=["x", "y"]) | {"image_column": "frames"}
    assert wrong(where) == (
        "row 1 (counted from 0) of column frames of rows.parquet holds a picture of 5×4 pixels (height ×"
        " width), and the first one has 4×4; set image_size to scale all to one size."
    )
    assert video(where, image_size=(4, 5)).task.image_size == (4, 5)


def test_wrong_arguments_are_named():
    where = {"path": "imagefolder", "data_dir": "x"}
    assert wrong(where, label_column="a", caption_column="b") == (
        "Video: label_column and caption_column are both given; a clip has one or the other."
    )
    assert wrong(where, labelled="row") == "Video: labelled is 'row'; it must be 'clip' or 'frame'."
    assert wrong(where, every=0) == "Video: every is 0; it must be at least 1."
    assert wrong(where, max_frames=0) == "Video: max_frames is 0; it must be at least 1."


def test_inputs_are_brightness_from_0_to_1():
    data = video(parquet(frames=[[image(0), image(255)]], label=["x"]), image_column="frames", channels=3)
    (batch,) = data.train_dataloader()
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.shape == (1, 2, 3, 4, 4)
    assert batch.inputs.flatten(2)[0].unique(dim=1).squeeze(1).tolist() == [0, 1]
