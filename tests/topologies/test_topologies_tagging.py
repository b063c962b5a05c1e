"""Tagging with ManyToMany: entities, characters, packs, and better than the most frequent tag."""

import json
from collections import Counter, defaultdict

import datasets
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score

from lit_seq.cli import main
from lit_seq.data import IGNORED, Batch, Task, Treebank, Vocabulary
from lit_seq.metrics.tagging import entity_scores
from lit_seq.packing.run import run_pack
from lit_seq.samples import Tags
from lit_seq.topologies import ManyToMany
from lit_seq.topologies.tagged import tokens_of

# The columns of CoNLL-2003 on the hub.
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
FEATURES = datasets.Features(
    tokens=datasets.List(datasets.Value("string")), ner_tags=datasets.List(datasets.ClassLabel(names=NAMES))
)
SENTENCES = [
    ("Ann Lee left Paris", [1, 2, 0, 3]),
    ("in New York Bob ran", [0, 3, 4, 1, 0]),
    ("nobody came", [0, 0]),
    ("Oslo", [3]),
    ("Ada saw Rome", [1, 0, 3]),
    ("Eva Li", [1, 2]),
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"tokens": [text.split() for text, _ in SENTENCES], "ner_tags": [tags for _, tags in SENTENCES]}
    datasets.Dataset.from_dict(rows, features=FEATURES).to_parquet("rows.parquet")
    return tmp_path


def command(name, index, *options):
    return [
        *("fit", "--model", "ManyToMany", "--model.core.hidden_size=5", "--model.embedding_size=4"),
        *("--model.core.bidirectional=true", "--data", "Tagging", "--data.path=parquet"),
        *("--data.data_files=rows.parquet", "--data.tag_column=ner_tags", "--data.batch_size=2"),
        *("--data.load_options.cache_dir=c", '--data.splits={"validation": "train", "test": "train"}'),
        *(
            "--trainer.max_steps=6",
            "--trainer.check_val_every_n_epoch=null",
            "--trainer.val_check_interval=3",
        ),
        *("--trainer.log_every_n_steps=1", "--trainer.precision=64-true", "--wandb.mode=disabled"),
        *("--trainer.enable_progress_bar=false", "--optimizer", "Adam", f"--optimizer.lr=0.0{index + 1}"),
        *(f"--seed_everything={index}", "--runs_dir=runs", "--name", f"{name}{index}", *options),
    ]


def test_packed_trials_equal_solo_runs(here, capsys):
    assert run_pack([command("packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command("solo", index)) == 0
        alone, stacked = (pd.read_csv(f"runs/{name}{index}/metrics.csv") for name in ("solo", "packed"))
        assert {"val/macro_f1", "val/entity_f1", "val/entity_precision", "val/entity_recall"} <= set(alone)
        for column in alone:
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(alone[column], stacked[column], rtol=rtol, atol=1e-12)


def test_scores_are_those_of_the_predictions(here):
    assert main(command("run", 1, "--trainer.max_steps=40")) == 0
    assert main(["test", "--ckpt_path", "runs/run1/checkpoints/last.ckpt"]) == 0
    assert main(["predict", "--ckpt_path", "runs/run1/checkpoints/last.ckpt"]) == 0
    lines = [json.loads(line) for line in (here / "runs/run1/predictions.jsonl").read_text().splitlines()]
    assert [" ".join(line["tokens"]) for line in lines] == [text for text, _ in SENTENCES]
    assert [line["target"] for line in lines] == [[NAMES[tag] for tag in tags] for _, tags in SENTENCES]
    tested = pd.read_csv("runs/run1/metrics.csv").iloc[-1]
    scores = entity_scores((line["prediction"], line["target"]) for line in lines)
    assert scores["entity_f1"] > 0.3
    for name, score in scores.items():
        assert tested[f"test/{name}"] == pytest.approx(score)
    flat = [[tag for line in lines for tag in line[key]] for key in ("target", "prediction")]
    assert tested["test/macro_f1"] == pytest.approx(f1_score(*flat, average="macro"))
    shown = [json.loads(line) for line in (here / "runs/run1/samples.jsonl").read_text().splitlines()]
    last = [line for line in shown if line["moment"] == "end"]
    assert (last[0]["kind"], last[0]["tokens"]) == ("tags", ["Ann", "Lee", "left", "Paris"])


def test_a_washout_counts_in_no_entity():
    task = Task("tokens", 3, "classes", 3, "step", labels=("O", "B-A", "I-A"))
    model = ManyToMany(task, washout=1).eval()
    batch = Batch(torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, IGNORED]]))
    answers = model.measure(batch).answers
    ((said, right),) = model.rows(batch, answers)
    assert (len(said), right) == (1, ["I-A"])
    assert model.train().measure(batch).answers == ()


def test_characters_are_shown_as_tokens():
    vocabulary = Vocabulary.of(["ab c"], "character")
    task = Task("tokens", 5, "classes", 2, "step", vocabulary=vocabulary.to_dict(), labels=("X", "Y"))
    inputs = vocabulary.encode("ab c ba")
    tagged = [IGNORED, 0, IGNORED, 1, IGNORED, IGNORED, IGNORED]
    assert tokens_of(task, inputs, tagged) == (["ab", "c", "ba"], [1, 3, 6])
    # Where characters have classes of their own, they are the tokens.
    assert tokens_of(task, inputs, [0, *tagged[1:]])[1] == list(range(7))
    model = ManyToMany(task).eval()
    batch = Batch(inputs.unsqueeze(0), torch.tensor([tagged]))
    (row,) = model.predictions(batch)
    assert (row["tokens"], row["target"]) == (["ab", "c", "ba"], ["X", "Y", None])
    answers = model(batch)[0][[1, 3, 6], 0].argmax(-1).tolist()
    assert row["prediction"] == [task.labels[answer] for answer in answers]
    assert model.samples(iter([batch])) == [Tags(row["tokens"], row["target"], row["prediction"])]


def most_frequent_tag(data):
    """Accuracy on test data of each word's most frequent tag, or of the most frequent for unknown words."""
    counts, total = defaultdict(Counter), Counter()
    for batch in data.train_dataloader():
        for word, tag in zip(batch.inputs.flatten().tolist(), batch.targets.flatten().tolist(), strict=True):
            if tag != IGNORED:
                counts[word][tag] += 1
                total[tag] += 1
    right = counted = 0
    for batch in data.test_dataloader():
        for word, tag in zip(batch.inputs.flatten().tolist(), batch.targets.flatten().tolist(), strict=True):
            if tag != IGNORED:
                right += tag == (counts[word] or total).most_common(1)[0][0]
                counted += 1
    return right / counted


@pytest.mark.proof
def test_a_tagger_is_three_points_better_than_the_most_frequent_tag(here):
    options = [
        *("fit", "--model", "ManyToMany", "--model.core.bidirectional=true", "--model.core.hidden_size=96"),
        *("--model.core.recurrent_dropout=0.3", "--model.embedding_size=32", "--data", "Treebank"),
        *("--data.unit=character", "--optimizer", "Adam", "--optimizer.lr=0.01", "--trainer.max_steps=500"),
        *(
            "--trainer.check_val_every_n_epoch=null",
            "--trainer.val_check_interval=500",
            "--seed_everything=1",
        ),
        *("--trainer.enable_progress_bar=false", "--wandb.mode=disabled", "--runs_dir=runs", "--name=tagger"),
    ]
    assert main(options) == 0
    assert main(["test", "--ckpt_path", "runs/tagger/checkpoints/last.ckpt"]) == 0
    accuracy = pd.read_csv("runs/tagger/metrics.csv").iloc[-1]["test/accuracy"]
    baseline = most_frequent_tag(Treebank(seed=1))
    print(f"accuracy of the tagger {accuracy:.4f}, of the most frequent tag {baseline:.4f}")
    assert accuracy > baseline + 0.03
