import math
from functools import partial

import pytest
import torch

from lit_seq.cores import Stack
from lit_seq.data import IGNORED, Batch, Task
from lit_seq.topologies import ManyToMany, ManyToOne
from lit_seq.topologies.bits import compare_bits
from lit_seq.topologies.means import EpochMeans


def by_hand(outputs, targets):
    """The definitions, one sequence, step and bit after the other; of (time, batch, bits) as lists."""
    rows = []
    for sequence in range(len(outputs[0])):
        nats, right, steps = [], [], []
        for logits, wanted in zip(
            (o[sequence] for o in outputs), (t[sequence] for t in targets), strict=True
        ):
            of_step = []
            for logit, bit in zip(logits, wanted, strict=True):
                if bit != IGNORED:
                    one = 1 / (1 + math.exp(-logit))
                    nats.append(-math.log(one if bit else 1 - one))
                    of_step.append((one > 0.5) == (bit == 1))
            right += of_step
            steps += [all(of_step)] if of_step else []
        if right:
            rows.append(
                {
                    "loss": sum(nats) / len(nats),
                    "accuracy": sum(right) / len(right),
                    "steps_right": sum(steps) / len(steps),
                    "sequences_right": float(all(right)),
                    "bits_per_sequence": sum(nats) / math.log(2),
                }
            )
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}, len(rows)


def example():
    outputs = 3 * torch.randn(6, 9, 3, generator=torch.Generator().manual_seed(0)).double()
    targets = (outputs > 0).long()
    targets[0, 1, 0] ^= 1
    targets[2, 2:5] ^= 1
    targets[-2:, :3] = IGNORED  # lengths
    targets[0, 6, 1] = IGNORED  # a single bit
    targets[:, 7] = IGNORED  # a sequence of which nothing counts
    return outputs, targets


def test_metrics_are_their_definitions():
    outputs, targets = example()
    means, sequences = compare_bits(outputs, targets)
    expected, rows = by_hand(outputs.tolist(), targets.tolist())
    assert sequences == rows == 8
    assert {name: mean.item() for name, mean in means.items()} == pytest.approx(expected, rel=1e-6)
    assert 0 < expected["sequences_right"] < expected["steps_right"] < expected["accuracy"] < 1


def test_one_vector_of_bits_a_sequence():
    outputs, targets = example()
    means, sequences = compare_bits(outputs[0], targets[0])
    expected, rows = by_hand(outputs[:1].tolist(), targets[:1].tolist())
    assert sequences == rows
    assert {name: mean.item() for name, mean in means.items()} == pytest.approx(expected, rel=1e-6)


def test_means_over_an_epoch_do_not_depend_on_the_batch_size():
    outputs, targets = example()
    whole, _ = compare_bits(outputs, targets)
    epoch = EpochMeans()
    for part in (slice(0, 2), slice(2, 7), slice(7, 9)):
        epoch.add(*compare_bits(outputs[:, part], targets[:, part]))
    means = epoch.means()
    assert {n: v.item() for n, v in means.items()} == pytest.approx({n: v.item() for n, v in whole.items()})


def test_only_bits_that_count_have_a_gradient():
    outputs, targets = example()
    outputs.requires_grad_()
    compare_bits(outputs, targets)[0]["loss"].backward()
    assert ((outputs.grad != 0) == (targets != IGNORED)).all()


def test_trials_are_measured_apart_under_vmap():
    outputs, targets = zip(*(example() for _ in range(3)), strict=True)
    outputs = torch.stack(outputs) * torch.tensor([1.0, 0.5, -1.0]).reshape(3, 1, 1, 1)
    mapped, sequences = torch.func.vmap(compare_bits)(outputs, torch.stack(targets))
    for trial in range(3):
        alone, of_trial = compare_bits(outputs[trial], targets[trial])
        assert sequences[trial] == of_trial
        for name, mean in alone.items():
            torch.testing.assert_close(mapped[name][trial], mean)


def test_predictions_name_the_bits_that_are_set():
    task = Task("vectors", 2, "bits", 3, "step", labels=("a", "b", "c"))
    model = ManyToMany(task, partial(Stack, hidden_size=4))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([1.0, -1.0, 1.0]))
    targets = torch.tensor([[[1, 1, 0], [0, 0, 1]], [[0, 1, 0], [IGNORED] * 3]])
    rows = model.predictions(Batch(torch.zeros(2, 2, 2), targets, torch.tensor([2, 1])))
    assert rows == [
        {"prediction": [["a", "c"], ["a", "c"]], "target": [["a", "b"], ["c"]]},
        {"prediction": [["a", "c"]], "target": [["b"]]},
    ]

    model = ManyToOne(Task("vectors", 2, "bits", 3, "sequence"), partial(Stack, hidden_size=4))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([1.0, -1.0, 1.0]))
    rows = model.predictions(Batch(torch.zeros(2, 2, 2), targets[:, 0]))
    assert rows == [
        {"prediction": [1, 0, 1], "target": [1, 1, 0]},
        {"prediction": [1, 0, 1], "target": [0, 1, 0]},
    ]
