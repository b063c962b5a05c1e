import pytest

from lit_seq.data import Task, Trees
from lit_seq.data.brackets import PHRASE, parse
from lit_seq.errors import UserError

LINES = ["(3 (2 The) (3 (4 lovely) (2 film)))", "(1 (2 The) (0 bore))", "(2 film)"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trees(lines, **arguments):
    with open("trees.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    options = {
        "validation_fraction": 0.0,
        "test_fraction": 0.0,
        "load_options": {"cache_dir": "c"},
        "seed": 1,
    }
    return Trees("text", data_files="trees.txt", **{**options, **arguments})


def test_brackets_by_hand():
    assert parse(LINES[0]) == (
        ["The", "lovely", "film", PHRASE, PHRASE],
        ["2", "4", "2", "3", "3"],
        [4, 3, 3, 4, -1],
    )
    assert parse("(2 8\N{NO-BREAK SPACE}1\\/2)").words == ["8\N{NO-BREAK SPACE}1\\/2"]
    assert parse("(S(NP a)(VP(V b) (X c)(Y -LRB-)))").parents == [5, 4, 4, 4, 5, -1]


def test_batches_by_hand():
    data = trees(LINES, splits={"validation": "train"}, batch_size=3)
    symbols = ("<unk>", "<phrase>", "The", "film", "bore", "lovely")
    assert data.task == Task(
        *("tokens", 6, "classes", 5, "node"),
        vocabulary={"unit": "word", "symbols": symbols},
        labels=("0", "1", "2", "3", "4"),
        arity=2,
    )
    (batch,) = data.val_dataloader()
    assert batch.inputs.tolist() == [[2, 5, 3, 1, 1], [2, 4, 1, 0, 0], [3, 0, 0, 0, 0]]
    assert batch.targets[0].tolist() == [2, 4, 2, 3, 3]
    assert batch.targets[1, :3].tolist() == [2, 0, 1]
    assert batch.tree.parents[1].tolist() == [2, 2, -1, -1, -1]
    assert batch.lengths.tolist() == [5, 3, 1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("(3 (2 a) (2 b)", "has a bracket that is not closed"),
        ("(3 a) (2 b)", "goes on behind its root; a tree has one"),
        ("(3 a))", "goes on behind its root; a tree has one"),
        ("a", "has 'a' outside of brackets"),
        ("", "is empty"),
        ("(3 (2 a) b)", "has a node (3 b) with 1 children; it must be a label and either a word or children"),
        ("(3)", "has a node (3) with 0 children; it must be a label and either a word or children"),
        ("(3 a b)", "has a node (3 a b) with 0 children; it must be a label and either a word or children"),
        ("((2 a) (2 b))", "has a node () with 2 children; it must be a label and either a word or children"),
    ],
)
def test_what_is_no_tree_is_named(line, why):
    with pytest.raises(UserError) as error:
        _ = trees([LINES[0], line, LINES[1]]).task
    assert str(error.value) == f"Trees: tree 2 of train of trees.txt {why}."


def test_wrong_arguments_are_named():
    with pytest.raises(UserError, match=r"^trees.txt has no column tree; its columns are text\.$"):
        _ = trees(LINES, tree_column="tree").task
    with pytest.raises(UserError, match=r"label '0' of trees\.txt is in test; train has only 2, 3, 4"):
        _ = trees(LINES, splits={"train": "train[:1]", "test": "train[1:]"}).task
    with pytest.raises(UserError, match="unit is character and max_length None; of trees"):
        _ = trees(LINES, unit="character").task
