"""Configurations for sets of the hub, against small local sets with the hub's files, columns and features."""

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from datasets import ClassLabel, Dataset, Features, Image, List, Translation, Value
from PIL import Image as Picture

import lit_seq.data
from lit_seq.configuration import CommandLine
from lit_seq.errors import UserError

BASE = Path(__file__).parents[2] / "sweeps" / "base"
SENTIMENTS = ClassLabel(names=["neg", "pos"])
LINE = "the cat sat on the mat and looked at the sea"
TREE = "(3 (2 Yet) (3 (2 (2 the) (2 act)) (3 (4 (3 (2 is) (3 (2 still) (4 charming))) (2 here)) (2 .))))"
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]


def pictures(count, height, width, channels=None):
    size = (height, width) if channels is None else (height, width, channels)
    draw = np.random.default_rng(0)
    return [Picture.fromarray(draw.integers(0, 256, size, dtype=np.uint8)) for _ in range(count)]


def tiny_shakespeare():
    features = Features(text=Value("string"))
    text = Dataset.from_dict({"text": [f"{LINE}.\n\n" * 80]}, features)
    return {"train": text, "validation": text, "test": text}


def imdb():
    features = Features(text=Value("string"), label=SENTIMENTS)
    labelled = Dataset.from_dict({"text": [LINE] * 20, "label": [0, 1] * 10}, features)
    unlabelled = Dataset.from_dict({"text": [LINE] * 20, "label": [-1] * 20}, features)
    return {"train": labelled, "test": labelled, "unsupervised": unlabelled}


def sst2():
    names = ClassLabel(names=["negative", "positive"])
    features = Features(idx=Value("int32"), sentence=Value("string"), label=names)
    rows = {"idx": list(range(8)), "sentence": [LINE] * 8, "label": [0, 1] * 4}
    labelled = Dataset.from_dict(rows, features)
    return {
        "train": labelled,
        "validation": labelled,
        "test": Dataset.from_dict({**rows, "label": [-1] * 8}, features),
    }


def conll2003():
    tags = {"pos_tags": ["NN", "VB"], "chunk_tags": ["O", "B-NP"], "ner_tags": TAGS}
    features = Features(
        id=Value("string"),
        tokens=List(Value("string")),
        **{name: List(ClassLabel(names=names)) for name, names in tags.items()},
    )
    rows = {"id": ["0", "1"], "tokens": [["Ann", "Lee", "went"], ["EU", "rejects"]]}
    numbers = {
        "pos_tags": [[0, 0, 1], [0, 1]],
        "chunk_tags": [[1, 1, 0], [1, 0]],
        "ner_tags": [[1, 2, 0], [3, 0]],
    }
    return dict.fromkeys(("train", "validation", "test"), Dataset.from_dict({**rows, **numbers}, features))


def multi30k():
    rows = Dataset.from_dict({"en": [LINE, "a dog"] * 4, "de": ["die Katze saß", "ein Hund"] * 4})
    return {"train": rows, "val": rows, "test": rows}


def wmt14():
    features = Features(translation=Translation(languages=["fr", "en"]))
    pairs = [{"en": LINE, "fr": "le chat était assis"}, {"en": "a dog", "fr": "un chien"}] * 4
    rows = Dataset.from_dict({"translation": pairs}, features)
    # The hub's training set has lines that are empty in one language.
    train = Dataset.from_dict({"translation": [*pairs, {"en": "", "fr": "fin"}]}, features)
    return {"train": train, "validation": rows, "test": rows}


def mnist():
    features = Features(image=Image(), label=ClassLabel(names=[str(digit) for digit in range(10)]))
    rows = Dataset.from_dict({"image": pictures(20, 28, 28), "label": [i % 10 for i in range(20)]}, features)
    return {"train": rows, "test": rows}


def coco():
    texts = {name: Value("string") for name in ("filename", "caption")}
    features = Features(image=Image(), **texts, cocoid=Value("int32"))
    images = pictures(3, 48, 64, 3) + pictures(3, 64, 48, 3)
    rows = {"image": images, "filename": ["a.jpg"] * 6, "cocoid": [1, 1, 1, 2, 2, 2], "caption": [LINE] * 6}
    return dict.fromkeys(("train", "validation", "test"), Dataset.from_dict(rows, features))


def ucf101():
    label = ClassLabel(names=[f"Action{i}" for i in range(101)])
    strings = {name: Value("string") for name in ("video_id", "clip_id")}
    features = Features(image=Image(), **strings, frame=Value("int64"), label=label)
    clips = list(itertools.product(range(4), (1, 2), (1, 2), range(12)))
    rows = {
        "image": pictures(len(clips), 24, 32, 3),
        "video_id": [f"v_Action{action}_g{group:02}" for action, group, _, _ in clips],
        "clip_id": [f"c{clip:02}" for _, _, clip, _ in clips],
        "frame": [frame for *_, frame in clips],
        "label": [action for action, *_ in clips],
    }
    return dict.fromkeys(("train", "test"), Dataset.from_dict(rows, features))


def sst_trees():
    rows = Dataset.from_dict({"ptb_tree": [TREE, "(1 (1 dull) (2 .))"] * 4})
    return {"train": rows, "validation": rows, "test": rows}


SETS = {
    "tiny-shakespeare": (tiny_shakespeare, "data/{split}-00000-of-00001.parquet"),
    "imdb": (imdb, "plain_text/{split}-00000-of-00001.parquet"),
    "sst2": (sst2, "data/{split}-00000-of-00001.parquet"),
    "conll2003": (conll2003, "data/{split}-00000-of-00001.parquet"),
    "multi30k": (multi30k, "{split}.jsonl"),
    "wmt14-en-fr": (wmt14, "fr-en/{split}-00000-of-00001.parquet"),
    "mnist-pixels": (mnist, "mnist/{split}-00000-of-00001.parquet"),
    "mnist-permuted": (mnist, "mnist/{split}-00000-of-00001.parquet"),
    "coco-captions": (coco, "data/{split}-00000-of-00001.parquet"),
    "ucf101": (ucf101, "data/{split}-00000-of-00001.parquet"),
    "sst-trees": (sst_trees, "ptb/{split}/0000.parquet"),
}
"""What makes the splits, and where the hub has their files."""

SEEN = {
    "tiny-shakespeare": lambda task: task.alignment == "next" and task.vocabulary["unit"] == "character",
    "imdb": lambda task: task.labels == ("neg", "pos"),
    "sst2": lambda task: task.labels == ("negative", "positive"),
    "conll2003": lambda task: task.labels == tuple(TAGS),
    "multi30k": lambda task: (task.vocabulary["unit"], task.target_vocabulary["unit"]) == ("subword",) * 2,
    "wmt14-en-fr": lambda task: (task.vocabulary["unit"], task.target_vocabulary["unit"]) == ("subword",) * 2,
    "mnist-pixels": lambda task: task.input_size == 1 and task.labels == tuple("0123456789"),
    "mnist-permuted": lambda task: task.input_size == 1 and task.labels == tuple("0123456789"),
    "coco-captions": lambda task: "sea" in task.target_vocabulary["symbols"],
    "ucf101": lambda task: task.image_size == (64, 64) and len(task.labels) == 101,
    "sst-trees": lambda task: task.labels == tuple("1234") and task.alignment == "node",
}
"""What the task then is."""


class Built(CommandLine):
    """Builds what `lit-seq fit` trains, and stops there."""

    def _run_subcommand(self, subcommand):
        pass


def on_disk(folder, name):
    splits, layout = SETS[name]
    for split, rows in splits().items():
        path = folder / layout.format(split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_json(path) if path.suffix == ".jsonl" else rows.to_parquet(path)
    config = yaml.safe_load((BASE / f"{name}.yaml").read_text())["data"]["init_args"].get("name")
    if config is not None:
        files = [{"split": split, "path": layout.format(split=split)} for split in splits()]
        configs = yaml.safe_dump({"configs": [{"config_name": config, "data_files": files}]})
        (folder / "README.md").write_text(f"---\n{configs}---\n")
    return folder


@pytest.mark.parametrize("name", SETS)
def test_a_set_of_the_hub_s_schema_trains(name, tmp_path):
    folder = on_disk(tmp_path / "set", name)
    here = ["--data.path", str(folder), "--data.load_options.cache_dir", str(tmp_path / "cache")]
    line = Built(["fit", "--config", str(BASE / f"{name}.yaml"), "--data.num_workers=0", *here])
    assert SEEN[name](line.datamodule.task)
    for loader in (line.datamodule.val_dataloader(), line.datamodule.test_dataloader()):
        batch = next(iter(loader))
        with torch.no_grad():
            assert line.model.measure(batch).means["loss"].isfinite()
    objective, _ = line.model.objective(next(iter(line.datamodule.train_dataloader())), None)
    objective.backward()
    gradients = [parameter.grad for parameter in line.model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", SETS)
def test_without_network_its_name_is_said_at_once(name):
    data = yaml.safe_load((BASE / f"{name}.yaml").read_text())["data"]
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        _ = getattr(lit_seq.data, data["class_path"])(**data["init_args"]).task
    assert time.monotonic() - start < 5
    assert "it is not in the cache, and the hub cannot be reached" in str(error.value)


def test_every_configuration_of_the_hub_is_tested():
    data = {path.stem: yaml.safe_load(path.read_text())["data"] for path in BASE.glob("*.yaml")}
    assert {name for name, of in data.items() if "path" in of["init_args"]} == set(SETS)
