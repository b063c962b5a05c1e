import pytest
import torch
from sklearn.metrics import f1_score

from lit_seq.data import IGNORED
from lit_seq.metrics.tagging import entities, entity_scores, marks_entities
from lit_seq.topologies.f1 import class_shares, macro_f1
from lit_seq.topologies.means import EpochMeans


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-PER I-PER O", {("PER", 1, 2)}),
        ("B-PER B-PER", {("PER", 0, 0), ("PER", 1, 1)}),
        ("B-LOC I-PER I-PER", {("LOC", 0, 0), ("PER", 1, 2)}),
        ("I-ORG I-ORG O I-ORG", {("ORG", 0, 1), ("ORG", 3, 3)}),
        ("B-a-b I-a-b", {("a-b", 0, 1)}),
        ("O O", set()),
    ],
)
def test_entities_by_hand(tags, expected):
    assert entities(tags.split()) == expected


def test_the_example_in_seqevals_readme():
    target = ["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]
    output = ["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]
    scores = entity_scores(zip(output, target, strict=True))
    assert scores == {"entity_f1": 0.5, "entity_precision": 0.5, "entity_recall": 0.5}


def test_precision_and_recall_are_told_apart_and_nothing_is_no_error():
    scores = entity_scores([(["B-A", "B-A", "B-A"], ["B-A", "O", "O"]), (["O"], ["B-A"])])
    assert scores == {"entity_f1": 0.4, "entity_precision": 1 / 3, "entity_recall": 0.5}
    assert set(entity_scores([(["O"], ["O"])]).values()) == {0.0}
    assert marks_entities(["O", "B-A", "I-A"])
    assert not marks_entities(["NOUN", "B"])
    assert not marks_entities(None)


def test_macro_f1_of_an_epoch_is_that_of_scikit_learn():
    torch.manual_seed(0)
    # Class 5 never occurs, and class 4 only among the answers.
    batches = [(torch.randn(n, 3, 6), torch.randint(4, (n, 3))) for n in (5, 40, 2)]
    epoch = EpochMeans()
    said, right = [], []
    for outputs, targets in batches:
        outputs[..., 5] = -9
        targets[0, 0] = IGNORED
        counted = targets != IGNORED
        epoch.add(class_shares(outputs, targets), counted.sum())
        said += outputs.argmax(-1)[counted].tolist()
        right += targets[counted].tolist()
    assert 4 in said
    expected = f1_score(right, said, average="macro")
    assert macro_f1(epoch.means())["macro_f1"].item() == pytest.approx(expected, abs=1e-12)
    stacked = {name: torch.stack([mean, mean]) for name, mean in epoch.means().items()}
    assert macro_f1(stacked)["macro_f1"].tolist() == pytest.approx([expected, expected])


def test_shares_are_counted_under_vmap():
    outputs, targets = torch.randn(3, 7, 4), torch.randint(4, (7,))
    stacked = torch.func.vmap(class_shares, in_dims=(0, None))(outputs, targets)
    for row in range(3):
        for name, share in class_shares(outputs[row], targets).items():
            assert torch.equal(stacked[name][row], share)
