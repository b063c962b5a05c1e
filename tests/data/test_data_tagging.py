import datasets
import pytest

from lit_seq.data import IGNORED, Tagging, Task, Treebank
from lit_seq.errors import UserError

CONLLU = """\
# sent_id = 1
1\tHe\the\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2\treads\tread\tVERB\tVBZ\t_\t0\troot\t_\t_
3-4\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
3\tdo\tdo\tAUX\tVBP\t_\t2\taux\t_\t_
4\tn't\tnot\tPART\tRB\t_\t2\tneg\t_\t_
4.1\tnothing\t_\tPRON\t_\t_\t_\t_\t_\t_

1\ta b\ta\t_\tNN\t_\t0\troot\t_\t_

"""
NONE = {"validation_fraction": 0.0, "test_fraction": 0.0, "seed": 1}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def columns(rows, features=None, **arguments):
    names = {name: [row[name] for row in rows] for name in rows[0]}
    datasets.Dataset.from_dict(names, features=features).to_parquet("rows.parquet")
    options = {"load_options": {"cache_dir": "c"}, **NONE, **arguments}
    return Tagging("parquet", data_files="rows.parquet", **options)


def conllu(text=CONLLU, name="part.conllu", **arguments):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return Tagging("conllu", data_files=name, **{**NONE, **arguments})


ROWS = [
    {"tokens": ["EU", "rejects", "German", "call"], "ner_tags": [1, 0, 3, 0], "pos": ["N", "V", "A", "N"]},
    {"tokens": ["Peter", "Blackburn"], "ner_tags": [2, -1], "pos": ["N", "N"]},
]
# The columns of CoNLL-2003 on the hub.
FEATURES = datasets.Features(
    tokens=datasets.List(datasets.Value("string")),
    ner_tags=datasets.List(datasets.ClassLabel(names=["O", "B-ORG", "B-PER", "B-MISC", "I-MISC"])),
    pos=datasets.List(datasets.Value("string")),
)


def test_columns_of_lists_by_hand():
    data = columns(ROWS, FEATURES, tag_column="ner_tags", splits={"validation": "train"}, batch_size=2)
    symbols = ("<unk>", "Blackburn", "EU", "German", "Peter", "call", "rejects")
    assert data.task == Task(
        *("tokens", 7, "classes", 5, "step"),
        vocabulary={"unit": "word", "symbols": symbols},
        labels=("O", "B-ORG", "B-PER", "B-MISC", "I-MISC"),
    )
    (batch,) = data.val_dataloader()
    assert batch.inputs.tolist() == [[2, 6, 3, 5], [4, 1, 0, 0]]
    assert batch.targets.tolist() == [[1, 0, 3, 0], [2, IGNORED, IGNORED, IGNORED]]
    assert batch.lengths.tolist() == [4, 2]
    assert batch.tree is None
    data = columns(ROWS, FEATURES, tag_column="pos")
    assert data.task.labels == ("A", "N", "V")


def test_conllu_by_hand():
    data = conllu(splits={"validation": "train"}, batch_size=2, vocabulary_size=4)
    assert data.task.labels == ("AUX", "PART", "PRON", "VERB")
    (train,) = data.train_dataloader()
    assert sorted(train.lengths.tolist()) == [1, 4]
    long = train.lengths.argmax()
    assert train.targets[long].tolist() == [2, 3, 0, 1]
    # White space within a token is no border; the tag of "a b" is none.
    assert train.targets[1 - long].tolist() == [IGNORED] * 4
    assert set(data.vocabulary.symbols) == {"<unk>", "He", "a_b", "do"}
    assert conllu(tag_column="xpos").task.labels == ("NN", "PRP", "RB", "VBP", "VBZ")


def test_splits_of_conllu_and_gzip():
    import gzip

    for name, text in (("one.conllu.gz", CONLLU), ("two.conllu.gz", CONLLU.split("\n\n")[1])):
        with gzip.open(name, "wt", encoding="utf-8") as file:
            file.write(text)
    data = Tagging("conllu", data_files={"train": "*.conllu.gz", "test": ["two.conllu.gz"]}, **NONE)
    assert len(data.train_dataloader().batches) == 3
    assert len(data.test_dataloader().batches) == 1
    assert data.val_dataloader() == []


def test_characters_have_the_tag_at_the_end_of_a_token():
    data = conllu(unit="character", splits={"validation": "train"}, max_length=10, batch_size=2)
    (train,) = data.train_dataloader()
    row = train.lengths.argmax()
    assert data.vocabulary.decode(train.inputs[row]) == "He reads d"
    assert train.targets[row].tolist() == [IGNORED, 2, *[IGNORED] * 5, 3, IGNORED, IGNORED]


def test_unknown_tokens_become_unknown():
    data = columns(ROWS, tag_column="pos", splits={"train": "train[:1]", "test": "train[1:]"})
    (batch,) = data.test_dataloader()
    assert batch.inputs.tolist() == [[0, 0]]
    assert batch.targets.tolist() == [[1, 1]]


def test_heads_make_trees():
    data = conllu(head_column="head", tag_column="deprel", batch_size=2)
    assert (data.task.alignment, data.task.arity) == ("node", 3)
    (batch,) = data.train_dataloader()
    assert sorted(batch.tree.parents.tolist()) == [[-1, -1, -1, -1], [1, -1, 1, 1]]
    assert [len(level) for level in batch.tree.levels] == [2, 3]
    rows = [{"tokens": ["a", "b"], "tags": [0, 1], "head": ["2", "0"]}]
    (batch,) = columns(rows, head_column="head").train_dataloader()
    assert batch.tree.parents.tolist() == [[1, -1]]


def test_the_shipped_treebank():
    data = Treebank(seed=1)
    assert len(data.task.labels) == 14
    splits = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader()]
    assert [len(split.batches) for split in splits] == [2033, 254, 254]
    words = sum(int(batch.lengths.sum()) for split in splits for batch in split)
    counted = sum(int((batch.targets != IGNORED).sum()) for split in splits for batch in split)
    assert words == counted == 32422
    trees = Treebank(tags="deprel", trees=True, seed=1)
    assert (trees.task.arity, len(trees.task.labels)) == (10, 43)
    (batch, *_) = trees.val_dataloader()
    roots = batch.targets[batch.tree.parents < 0]
    assert {trees.task.labels[root] for root in roots.tolist() if root != IGNORED} == {"root"}


def wrong(make, *args, **arguments):
    with pytest.raises(UserError) as error:
        _ = make(*args, **arguments).task
    return str(error.value)


def test_wrong_columns_and_tags_are_named():
    assert wrong(columns, ROWS) == "rows.parquet has no column tags; its columns are tokens, ner_tags, pos."
    assert wrong(columns, ROWS, tag_column="pos", token_column="words") == (
        "rows.parquet has no column words; its columns are tokens, ner_tags, pos."
    )
    assert wrong(conllu, tag_column="pos") == (
        "CoNLL-U has no column pos; its columns are id, form, lemma, upos, xpos, feats, head, deprel, deps,"
        " misc."
    )
    splits = {"train": "train[1:]", "test": "train[:1]"}
    assert wrong(columns, ROWS, tag_column="pos", splits=splits) == (
        "label 'V' of rows.parquet is in test; train has only N."
    )
    assert wrong(Treebank, tags="feats") == "Treebank: tags is 'feats'; it must be upos, xpos or deprel."
    assert wrong(conllu, unit="byte") == "Tagging: unit is 'byte'; it must be word or character."
    assert wrong(conllu, vocabulary_size=1) == "Tagging: vocabulary_size is 1; it must be at least 2."


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"tokens": "a b", "tags": [0]}], "has 'a b' in column tokens; it must be a list"),
        ([{"tokens": [], "tags": []}], "has [] in column tokens; it must be texts"),
        ([{"tokens": ["a", " "], "tags": [0, 1]}], "has ['a', ' '] in column tokens; it must be texts"),
        ([{"tokens": ["a"], "tags": [0, 1]}], "has 1 tokens and 2 tags; they must be as many"),
    ],
)
def test_wrong_sentences_are_named(rows, sentence):
    assert wrong(columns, rows) == f"Tagging: sentence 1 of train of rows.parquet {sentence}."


@pytest.mark.parametrize(
    ("heads", "sentence"),
    [
        ([2, 3, 1], "has a cycle, nodes 1 → 2 → 3 → 1; a tree has none"),
        ([0, 1, 0], "has 2 roots, nodes 1 and 3; a tree has one"),
        ([0, 1, 4], "has 3 nodes, and node 3 has the parent 4"),
        ([0, 1], "has 3 tokens and 2 heads; they must be as many"),
        (["0", "1", "_"], "has ['0', '1', '_'] in column head; heads must be numbers from 0"),
    ],
)
def test_what_is_no_tree_is_refused(heads, sentence):
    rows = [{"tokens": ["a", "b", "c"], "tags": [0, 1, 1], "head": heads}]
    found = wrong(columns, rows, head_column="head")
    assert found == f"Tagging: sentence 1 of train of rows.parquet {sentence}."


def test_wrong_files_are_named():
    assert wrong(Tagging, "conllu") == "path is the format conllu, so data_files must name the files."
    assert wrong(Tagging, "conllu", data_files="no.conllu") == "there is no file no.conllu."
    assert wrong(conllu, "1\tHe\n") == (
        "line 1 of part.conllu has 2 columns; in CoNLL-U a word has 10, with tabs between them."
    )
    assert wrong(conllu, "") == "Tagging: part.conllu has no sentence to train on."
    assert wrong(Tagging, "conllu", data_files={"dev": "part.conllu"}) == (
        "{'dev': 'part.conllu'} has no split train, only dev; name one with splits.train."
    )
    assert wrong(conllu, head_column="head", max_length=3) == (
        "Tagging: unit is word and max_length 3; of trees, which have a node a word and cannot be cut, they"
        " must be word and null."
    )
    assert wrong(Tagging, "name/of_hub_set").startswith("name/of_hub_set could not be loaded")
