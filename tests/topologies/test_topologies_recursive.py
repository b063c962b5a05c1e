"""Recursive nets: what they answer, in packs, from checkpoints, and that trees are worth having."""

import json
from functools import partial

import pandas as pd
import pytest
import torch

from lit_seq.cells.tree import ChildSumTreeLSTM, NaryTreeLSTM, TreeElman
from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import Stack
from lit_seq.data import IGNORED, Batch, ListOps, Task, Tree, Treebank
from lit_seq.data.loader import generator
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.samples import Answer, TreeLabels
from lit_seq.topologies import ManyToOne, Recursive

NODES = Task("tokens", 5, "classes", 3, "node", labels=("a", "b", "c"), arity=2)
ROOTS = Task("tokens", 5, "classes", 3, "sequence", labels=("a", "b", "c"), arity=2)


def batch_of(task):
    lengths = torch.tensor([4, 2])
    tree = Tree.of(torch.tensor([[1, -1, 1, 2], [-1, 0, 0, 0]]), lengths)
    inputs = torch.tensor([[1, 2, 3, 4], [4, 1, 0, 0]])
    targets = torch.tensor([[0, IGNORED, 2, 1], [1, 0, IGNORED, IGNORED]])
    return Batch(inputs, targets if task is NODES else torch.tensor([2, 0]), lengths, tree)


def build(task=NODES, **options):
    torch.manual_seed(0)
    return Recursive(task, **{"hidden_size": 6, "embedding_size": 4, **options}).eval()


def test_nodes_by_hand():
    model, batch = build(), batch_of(NODES)
    outputs = model(batch).transpose(0, 1)
    counted = [(0, 0, 0), (0, 2, 2), (0, 3, 1), (1, 0, 1), (1, 1, 0)]
    losses = [-outputs[b, t].log_softmax(-1)[target] for b, t, target in counted]
    right = [outputs[b, t].argmax().item() == target for b, t, target in counted]
    measured = model.measure(batch)
    torch.testing.assert_close(measured.means["loss"], torch.stack(losses).mean())
    assert measured.targets == 5
    metrics = model.reported("val", measured.means)
    assert metrics["val/accuracy"] == pytest.approx(sum(right) / 5)
    # Of the roots, (0, 1) does not count.
    assert metrics["val/root_accuracy"] == float(right[3])
    assert "val/macro_f1" in metrics
    assert set(model.train().reported("train", model.measure(batch).means)) == {
        "train/loss",
        "train/accuracy",
    }


def test_a_trees_answer_is_its_roots():
    nodes, roots = build(NODES), build(ROOTS)
    everywhere = nodes(batch_of(NODES))
    torch.testing.assert_close(roots(batch_of(ROOTS)), torch.stack([everywhere[1, 0], everywhere[0, 1]]))


def test_answers_can_be_read():
    model, batch = build(), batch_of(NODES)
    first, second = model.predictions(batch)
    assert (first["tokens"], first["parents"]) == (["1", "2", "3", "4"], [1, -1, 1, 2])
    assert first["target"] == ["a", None, "c", "b"]
    assert set(first["prediction"]) <= {"a", "b", "c"}
    assert [len(value) for value in second.values()] == [2] * 4
    shown = model.samples(iter([batch]))
    assert shown[0] == TreeLabels(*(first[key] for key in ("tokens", "parents", "target", "prediction")))
    roots = build(ROOTS)
    assert [sample.target for sample in roots.samples(iter([batch_of(ROOTS)]))] == [
        [None, "c", None, None],
        ["a", None],
    ]
    row = roots.predictions(batch_of(ROOTS))[0]
    assert row["target"] == "c"
    assert roots.samples(iter([batch_of(ROOTS)]))[0].output[1] == row["prediction"]
    balanced = build(Task("tokens", 5, "classes", 3, "sequence"), trees="balanced")
    assert isinstance(balanced.samples(iter([batch_of(ROOTS)]))[0], Answer)
    assert balanced.samples(iter([])) == []


def test_balanced_trees_need_none_of_the_data():
    task = Task("vectors", 3, "values", 2, "sequence")
    model = build(task, trees="balanced", cell=NaryTreeLSTM)
    batch = Batch(torch.randn(4, 5, 3), torch.randn(4, 2), torch.tensor([5, 1, 3, 2]))
    measured = model.measure(batch)
    torch.testing.assert_close(measured.means["loss"], (model(batch) - batch.targets).square().mean())
    assert model.predictions(batch)[1]["target"] == batch.targets[1].tolist()


@pytest.mark.parametrize(
    ("task", "options", "sentence"),
    [
        (Task("tokens", 5, "classes", 3, "sequence"), {}, "this data has no trees; trees must be balanced"),
        (NODES, {"trees": "balanced"}, "balanced trees have one answer each, but this data has a target for"),
        (NODES, {"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        (
            Task("tokens", 5, "classes", 3, "node", arity=4),
            {"cell": NaryTreeLSTM},
            "nodes of these trees have up to 4 children, NaryTreeLSTM takes 2; raise its arity, or use",
        ),
        (
            Task("tokens", 5, "classes", 3, "sequence"),
            {"cell": partial(TreeElman, arity=1), "trees": "balanced"},
            "nodes of these trees have up to 2 children, TreeElman takes 1",
        ),
        (
            Task("tokens", 5, "values", 3, "node", arity=2),
            {},
            "targets of nodes are values; they must be classes",
        ),
        (
            Task("tokens", 5, "classes", 3, "step"),
            {},
            "takes data with a target for each node of a tree or one",
        ),
    ],
)
def test_what_it_cannot_serve_is_named(task, options, sentence):
    with pytest.raises(UserError) as error:
        build(task, **options)
    assert sentence in str(error.value)


def command(folder, name, index, *options, model="Recursive"):
    return [
        *("fit", "--model", model, "--model.hidden_size=6", "--model.embedding_size=4", *options),
        *(
            "--trainer.max_steps=8",
            "--trainer.check_val_every_n_epoch=null",
            "--trainer.val_check_interval=4",
        ),
        *(
            "--trainer.limit_val_batches=3",
            "--trainer.limit_test_batches=2",
            "--trainer.limit_predict_batches=2",
        ),
        *("--trainer.log_every_n_steps=1", "--trainer.precision=64-true", "--wandb.mode=disabled"),
        *("--trainer.enable_progress_bar=false", "--optimizer", "Adam", f"--seed_everything={index}"),
        *("--runs_dir", str(folder), "--name", f"{name}{index}"),
    ]


LISTOPS = ["--data", "ListOps", "--data.longest=20", "--data.batch_size=4", "--data.validation_size=10"]
ADDING = ["--data", "AddingProblem", "--data.length=7", "--data.batch_size=4"]
TREEBANK = ["--data", "Treebank", "--data.trees=true", "--data.tags=deprel", "--data.batch_size=4"]


@pytest.mark.parametrize(
    ("options", "metrics"),
    [
        ([*TREEBANK, "--model.cell", "ChildSumTreeLSTM"], {"val/root_accuracy", "val/macro_f1"}),
        pytest.param(
            [*LISTOPS, "--model.cell", "NaryTreeLSTM", "--model.cell.arity=6"],
            {"val/accuracy", "val/macro_f1"},
            marks=pytest.mark.slow,
        ),
        ([*LISTOPS, "--model.cell", "TreeElman", "--model.trees=balanced"], {"val/accuracy"}),
        pytest.param(
            [*ADDING, "--model.cell", "TreeElman", "--model.trees=balanced"],
            {"val/nrmse"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_packed_trials_equal_solo_runs(tmp_path, capsys, options, metrics):
    def of(name, index):
        # A mask is drawn for a batch with its padding, which others in the pack may make longer.
        dropout = [f"--model.dropout=0.{index}"] if options[:2] == ADDING[:2] else []
        return [*command(tmp_path, name, index, *options, *dropout), f"--optimizer.lr={0.003 * (index + 1)}"]

    assert run_pack([of("packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    assert "goes on in parts" not in said
    for index in range(3):
        assert main(of("solo", index)) == 0
        alone, stacked = (pd.read_csv(tmp_path / f"{name}{index}/metrics.csv") for name in ("solo", "packed"))
        assert sorted(alone) == sorted(stacked)
        assert metrics <= set(alone)
        for column in alone:
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(alone[column], stacked[column], rtol=rtol, atol=1e-12)


def test_a_checkpoint_answers_without_its_data(tmp_path):
    options = [*TREEBANK, "--model.cell", "TreeElman", "--model.cell.activation=relu"]
    assert main(command(tmp_path, "run", 0, *options)) == 0
    path = tmp_path / "run0/checkpoints/last.ckpt"
    assert main(["test", "--ckpt_path", str(path)]) == 0
    tested = pd.read_csv(tmp_path / "run0/metrics.csv")["test/accuracy"].dropna().item()
    assert main(["predict", "--ckpt_path", str(path)]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run0/predictions.jsonl").read_text().splitlines()]
    model = load_model(path, Recursive).double().eval()
    assert model.cell.activation == "relu"
    loader = Treebank("deprel", trees=True, batch_size=4).test_dataloader()
    batches = [batch for batch, _ in zip(loader, range(2), strict=False)]
    with torch.no_grad():
        assert lines == [row for batch in batches for row in model.predictions(batch)]
    pairs = [pair for line in lines for pair in zip(line["prediction"], line["target"], strict=True)]
    assert tested == pytest.approx(sum(one == other for one, other in pairs) / len(pairs))
    shown = [json.loads(line) for line in (tmp_path / "run0/samples.jsonl").read_text().splitlines()]
    assert {line["kind"] for line in shown} == {"tree"}


def trained(model, data, steps, lr):
    optimiser = torch.optim.Adam(model.parameters(), lr)
    for step in range(steps):
        optimiser.zero_grad()
        model.objective(data.generate(64, generator(1, step)))[0].backward()
        optimiser.step()
    batch = data.generate(1000, generator(2))
    with torch.no_grad():
        return model.eval().measure(batch).means["accuracy"].item()


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2])
def test_a_tree_lstm_beats_a_flat_lstm_of_equal_size_on_listops(seed):
    data = ListOps(seed=seed)
    torch.manual_seed(seed)
    tree = Recursive(data.task, ChildSumTreeLSTM, hidden_size=64)
    flat = ManyToOne(data.task, partial(Stack, hidden_size=64))
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (tree, flat)]
    assert sizes[0] == sizes[1]
    accuracy = [trained(model, data, 400, 0.003) for model in (tree, flat)]
    print(f"accuracy of a Tree-LSTM {accuracy[0]:.3f}, of a flat LSTM {accuracy[1]:.3f}")
    assert accuracy[0] > accuracy[1] + 0.05
