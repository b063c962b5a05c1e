"""What holds for every generated problem."""

from functools import partial

import pytest
import torch

from lit_seq.cores import Stack
from lit_seq.data import (
    IGNORED,
    AssociativeRecall,
    EmbeddedReber,
    GeneratedData,
    NTMCopy,
    Parity,
    RepeatCopy,
    SingleFact,
    SlowSignal,
    TemporalOrder,
)
from lit_seq.errors import UserError
from lit_seq.topologies import ManyToMany, ManyToOne

PROBLEMS = {
    "associative recall": (AssociativeRecall, {"pairs": 3}),
    "embedded Reber": (EmbeddedReber, {"max_length": 14}),
    "NTM copy": (NTMCopy, {"max_length": 4, "width": 3}),
    "parity": (Parity, {"length": 12}),
    "parity at each step": (Parity, {"length": 12, "each_step": True}),
    "repeat copy": (RepeatCopy, {"max_length": 3, "max_repeats": 2, "width": 3}),
    "single fact": (SingleFact, {"sentences": 3}),
    "slow signal": (SlowSignal, {"length": 12, "classes": 3}),
    "temporal order 6a": (TemporalOrder, {"length": 20}),
    "temporal order 6b": (TemporalOrder, {"length": 20, "relevant": 3}),
}

every = pytest.mark.parametrize(("kind", "arguments"), PROBLEMS.values(), ids=PROBLEMS)


def build(kind, arguments, **generated) -> GeneratedData:
    return kind(**arguments, **{"train_batches": 3, "batch_size": 4, "seed": 1} | generated)


def content(batch):
    return [None if part is None else part.tolist() for part in batch]


@every
def test_a_batch_is_a_function_of_seed_and_number(kind, arguments):
    def train(**generated):
        loader = build(kind, arguments, **generated).train_dataloader()
        batches = []
        for epoch in (0, 1):
            loader.set_epoch(epoch)
            batches += [content(batch) for batch in loader]
        return batches

    first = train()
    torch.manual_seed(99)
    assert train() == train(validation_seed=7, validation_size=5) == first
    assert len({str(batch) for batch in first}) == 6
    assert not [batch for batch in train(seed=2) if batch in first]


@every
def test_held_out_sequences_depend_on_no_seed_and_batch_size(kind, arguments):
    def held_out(**generated):
        data = build(kind, arguments, validation_size=10, test_size=10, **generated)
        splits = []
        for loader in (data.val_dataloader(), data.test_dataloader()):
            batches = list(loader)
            splits.append(
                [
                    None if parts[0] is None else torch.cat(parts).tolist()
                    for parts in zip(*batches, strict=True)
                ]
            )
        return splits

    validation, test = held_out()
    assert held_out(seed=2, batch_size=7) == [validation, test]
    assert validation != test
    assert len(validation[0]) == 10
    assert held_out(validation_seed=1) != [validation, test]


@every
def test_a_batch_has_the_shapes_of_its_task(kind, arguments):
    data = build(kind, arguments, batch_size=32)
    task, batch = data.task, next(iter(data.train_dataloader()))
    if task.inputs == "tokens":
        assert batch.inputs.dtype == torch.int64
        assert 0 <= batch.inputs.min() <= batch.inputs.max() < task.input_size
    else:
        assert batch.inputs.dtype == torch.float32
        assert batch.inputs.shape[2:] == (task.input_size,)
    leading = batch.inputs.shape[: 2 if task.alignment == "step" else 1]
    if task.targets == "classes":
        assert batch.targets.shape == leading
        assert batch.targets.dtype == torch.int64
        assert batch.targets[batch.targets != IGNORED].max() < task.target_size
    else:
        assert batch.targets.shape == (*leading, task.target_size)
    assert task.labels is None or len(task.labels) == task.target_size
    assert task.vocabulary is None or len(task.vocabulary["symbols"]) == task.input_size
    if batch.lengths is not None:
        assert batch.lengths.shape == leading[:1]
        assert 1 <= batch.lengths.min() <= batch.lengths.max() <= batch.inputs.shape[1]
        padded = torch.arange(batch.inputs.shape[1]) >= batch.lengths.unsqueeze(1)
        assert not batch.inputs[padded].any()
        if task.alignment == "step":
            assert (batch.targets[padded] == IGNORED).all()


@every
def test_a_model_takes_a_step_and_predicts(kind, arguments):
    data = build(kind, arguments)
    topology = ManyToMany if data.task.alignment == "step" else ManyToOne
    model = topology(data.task, partial(Stack, hidden_size=5), embedding_size=None)
    batch = next(iter(data.train_dataloader()))
    measured = model.measure(batch)
    assert set(measured.means) <= set(topology.metrics)
    measured.means["loss"].backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in model.parameters())
    assert len(model.predictions(batch)) == 4


REFUSED = [
    (AssociativeRecall, {"pairs": 0}, "AssociativeRecall: pairs is 0; it must be at least 1."),
    (
        *(AssociativeRecall, {"pairs": 27}),
        "AssociativeRecall: pairs is 27; it must be at most 26, the number of letters.",
    ),
    (EmbeddedReber, {"max_length": 8}, "EmbeddedReber: max_length is 8; it must be at least 9."),
    (NTMCopy, {"min_length": 0}, "NTMCopy: min_length is 0; it must be at least 1."),
    (NTMCopy, {"min_length": 5, "max_length": 4}, "NTMCopy: max_length is 4; it must be at least 5."),
    (NTMCopy, {"width": 0}, "NTMCopy: width is 0; it must be at least 1."),
    (Parity, {"length": 0}, "Parity: length is 0; it must be at least 1."),
    (RepeatCopy, {"max_repeats": 0}, "RepeatCopy: max_repeats is 0; it must be at least 1."),
    (RepeatCopy, {"min_repeats": 0}, "RepeatCopy: min_repeats is 0; it must be at least 1."),
    (SingleFact, {"sentences": 0}, "SingleFact: sentences is 0; it must be at least 1."),
    (SingleFact, {"people": 9}, "SingleFact: people is 9; it must be from 1 to 8."),
    (SingleFact, {"places": 1}, "SingleFact: places is 1; it must be from 2 to 10."),
    (TemporalOrder, {"length": 9}, "TemporalOrder: length is 9; it must be at least 10."),
    (TemporalOrder, {"relevant": 4}, "TemporalOrder: relevant is 4; it must be 2 or 3."),
    (SlowSignal, {"length": 8}, "SlowSignal: length is 8; it must be at least 9."),
    (SlowSignal, {"classes": 1}, "SlowSignal: classes is 1; it must be at least 2."),
    (SlowSignal, {"noise": -0.5}, "SlowSignal: noise is -0.5; it must be at least 0 and finite."),
    (SlowSignal, {"noise": float("nan")}, "SlowSignal: noise is nan; it must be at least 0 and finite."),
]


@pytest.mark.parametrize(("kind", "arguments", "sentence"), REFUSED)
def test_wrong_arguments_are_named(kind, arguments, sentence):
    with pytest.raises(UserError) as error:
        kind(**arguments)
    assert str(error.value) == sentence
