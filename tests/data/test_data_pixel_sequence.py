"""Images as sequences of pixels."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from lit_seq.data import PixelSequence, Task


def images(tmp_path, **arguments):
    drawn = np.random.default_rng(0).integers(0, 256, (12, 3, 4), dtype=np.uint8)
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    rows = {"image": [Image.fromarray(one) for one in drawn], "label": [i % 2 for i in range(12)]}
    datasets.Dataset.from_dict(rows, datasets.Features(features)).to_parquet(tmp_path / "train.parquet")
    fractions = {"validation_fraction": 0.25, "test_fraction": 0.25, "batch_size": 4, "seed": 1}
    files = {"data_files": str(tmp_path / "train.parquet"), "load_options": {"cache_dir": str(tmp_path)}}
    return drawn, PixelSequence(path="parquet", **files, **fractions, **arguments)


def pixels(data):
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    return torch.cat([batch.inputs for loader in loaders for batch in loader])


@pytest.fixture
def drawn_and_read(tmp_path):
    drawn, data = images(tmp_path)
    return torch.from_numpy(drawn).flatten(1).float() / 255, data


def test_pixels_come_row_by_row(drawn_and_read):
    drawn, data = drawn_and_read
    assert data.task == Task("vectors", 1, "classes", 2, "sequence", labels=("a", "b"))
    read = pixels(data)
    assert read.shape == (12, 12, 1)
    assert sorted(read.squeeze(-1).tolist()) == sorted(drawn.tolist())


def test_permuted_pixels_are_in_one_order_for_all_images(tmp_path, drawn_and_read):
    in_rows = pixels(drawn_and_read[1]).squeeze(-1)
    permuted = pixels(images(tmp_path, permutation_seed=3)[1]).squeeze(-1)
    # A column is one pixel of all images.
    order = [in_rows.T.tolist().index(pixel) for pixel in permuted.T.tolist()]
    assert sorted(order) == list(range(12)) != order
    assert torch.equal(pixels(images(tmp_path, permutation_seed=3)[1]).squeeze(-1), permuted)
    assert not torch.equal(pixels(images(tmp_path, permutation_seed=4)[1]).squeeze(-1), permuted)


def test_colours_are_features_of_a_step(tmp_path):
    _, data = images(tmp_path, channels=3)
    assert data.task.input_size == 3
    assert pixels(data).shape == (12, 12, 3)
