"""Every cell in every core in every topology, as found: one step of training, a checkpoint, padding."""

import inspect
import re
from functools import partial

import lightning as L
import pytest
import torch

import lit_seq.cells
import lit_seq.cores
import lit_seq.topologies
from lit_seq.cells import Cell
from lit_seq.checkpoint_file import load_model
from lit_seq.cores import Core
from lit_seq.data import IGNORED, Batch, Task, Vocabulary
from lit_seq.errors import UserError
from lit_seq.topologies import Topology

SENSELESS = (
    r"LanguageModel needs a core that reads from left to right",
    r"OutputFeedback needs a core that reads from left to right",
    r"does not feed its output back, which is the only memory of the cell Jordan",
    r"RidgeReadout trains the readout alone, but this core has [\d,]+ parameters to train",
    r"EncoderDecoder's encoder feeds no output back, which is the only memory of the cell Jordan",
    r"The decoder's core, \w+, does not read from left to right",
    r"The decoder goes on step by step, which batch normalisation has no statistics for",
    r"Forecaster needs a core that reads from left to right",
)
"""What a combination may be refused for, and for nothing else."""

SIZES = {"hidden_size": 8, "rows": 6, "width": 3, "words": 2, "patches": [2], "taps": 2}
FORMS = {
    "Stack": [
        {},
        {"bidirectional": True, "learned_initial_state": True, "layers": 2, "dropout": 0.1},
        {"skips": "dense", "layers": 2, "variational_dropout": 0.1, "learned_initial_state": True},
    ],
    "NTM": [{"read_heads": 2, "learned_initial_state": True}],
    "ReNet": [{"learned_initial_state": True}],
}
LENGTHS = torch.tensor([6, 2, 4])


def classes(package, base):
    found = (getattr(package, name) for name in package.__all__)
    return [
        one for one in found if inspect.isclass(one) and issubclass(one, base) and not inspect.isabstract(one)
    ]


CELLS = classes(lit_seq.cells, Cell)
TOPOLOGIES = [
    topology
    for topology in classes(lit_seq.topologies, Topology)
    if {"core", "decoder"} & set(inspect.signature(topology).parameters)
]
WORDS = Vocabulary.of(["a b c"], "word", end=True)


def cores(cell):
    """Return each core in each form, by name, with `cell` in it; those without cells once only."""
    found = {}
    for core in classes(lit_seq.cores, Core):
        names = inspect.signature(core).parameters
        sizes = {name: size for name, size in SIZES.items() if name in names}
        if "encoder" in names:
            sizes["encoder"] = partial(lit_seq.cores.Stack, cell=cell, hidden_size=8)
        elif "cell" in names:
            sizes["cell"] = cell
        elif cell is not CELLS[0]:
            continue
        for number, form in enumerate(FORMS.get(core.__name__, [{}])):
            found[f"{core.__name__}{number or ''}"] = partial(core, **sizes, **form)
    return found


PRODUCT = [
    pytest.param(topology, core, id=f"{topology.__name__}-{name}-{cell.__name__}")
    for topology in TOPOLOGIES
    for cell in CELLS
    for name, core in cores(cell).items()
]


def quick():
    """Return a part of the product in which each cell, each core and each topology comes at least once."""
    seen, chosen = set(), []
    for one in sorted(PRODUCT, key=lambda one: hash_of(one.id)):
        new = set(one.id.split("-")) - seen
        if new and fits(*one.values):
            seen |= new
            chosen.append(one)
    return chosen


def hash_of(text):
    return sum(ord(letter) * 31**place for place, letter in enumerate(text)) % 9973


def fits(topology, core):
    try:
        build(topology, core)
    except (UserError, ValueError):
        return False
    return True


def task_of(topology):
    match topology.alignments:
        case ("next",):
            return Task(
                "tokens", 4, "classes", 4, "next", Vocabulary("character", ("�", "a", "b", "c")).to_dict()
            )
        case ("own",):
            inputs, words = "vectors" if "vectors" in topology.kinds else "vector", len(WORDS)
            own = {"target_vocabulary": WORDS.to_dict(), "target_length": 3}
            return Task(inputs, 4, "classes", words, "own", **own)
        case ("future",):
            return Task("vectors", 4, "values", 4, "future", target_length=4)
        case (alignment, *_):
            return Task("vectors", 4, "values", 4, alignment)


def batch_for(topology):
    match topology.alignments:
        case ("next",):
            return Batch(torch.randint(4, (3, 6)), torch.randint(4, (3, 6)))
        case ("own",):
            end = WORDS.end
            targets = torch.tensor([[2, 3, end], [4, end, IGNORED], [3, 3, end]])
            if "vectors" in topology.kinds:
                return Batch(torch.randn(3, 6, 4), targets, LENGTHS)
            return Batch(torch.randn(3, 4), targets)
        case ("future",):
            # Windows of poses are all of one length.
            lengths = None if topology is lit_seq.topologies.MotifAutoencoder else LENGTHS
            return Batch(torch.randn(3, 6, 4), torch.randn(3, 4, 4), lengths)
    targets = torch.randn((3, 6, 4) if "step" in topology.alignments else (3, 4))
    return Batch(torch.randn(3, 6, 4), targets, LENGTHS)


def build(topology, core):
    torch.manual_seed(0)
    names = inspect.signature(topology).parameters
    if "decoder" not in names:
        context = {"context": "input"} if "context" in names else {}
        return topology(task_of(topology), core, **context)
    # What reads in both directions may encode.
    decoder = core if core(4).causal else partial(lit_seq.cores.Stack, hidden_size=8)
    return topology(task_of(topology), core, decoder, context="input")


def check(topology, core, tmp_path):
    try:
        model = build(topology, core)
    except (UserError, ValueError) as refusal:
        sentence = str(refusal)
        assert any(re.search(known, sentence) for known in SENSELESS), sentence
        assert "\n" not in sentence
        assert sentence.endswith(".")
        return
    batch = batch_for(topology)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = L.Trainer(
        accelerator="cpu",
        precision="64-true",
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, torch.utils.data.DataLoader([batch], batch_size=None))
    after = model.state_dict()
    assert all(value.isfinite().all() for value in after.values() if value.is_floating_point())
    assert any(not torch.equal(before[name], value) for name, value in after.items())

    trainer.save_checkpoint(tmp_path / "one.ckpt")
    loaded = load_model(tmp_path / "one.ckpt", Topology).eval()
    model.eval()
    assert loaded.predictions(batch) == model.predictions(batch)
    measured, again = model.measure(batch), loaded.measure(batch)
    assert torch.equal(measured.means["loss"], again.means["loss"])
    if batch.lengths is not None:
        check_padding(model, batch)


def check_padding(model, batch):
    together = model.predictions(batch)
    for index, length in enumerate(batch.lengths.tolist()):
        targets = batch.targets[index : index + 1]
        alone = Batch(
            batch.inputs[index : index + 1, :length],
            targets[:, :length] if model.task.alignment == "step" else targets,
        )
        (expected,) = model.predictions(alone)
        got = together[index]
        assert got.keys() == expected.keys()
        if isinstance(got["prediction"], str):
            assert got["prediction"] == expected["prediction"]
            continue
        prediction = torch.tensor(got["prediction"]), torch.tensor(expected["prediction"])
        torch.testing.assert_close(*prediction, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("topology", "core"), quick())
def test_each_class_somewhere(topology, core, tmp_path):
    check(topology, core, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("topology", "core"), PRODUCT)
def test_every_combination(topology, core, tmp_path):
    check(topology, core, tmp_path)


def test_the_quick_part_has_every_class():
    names = {name for one in quick() for name in one.id.split("-")}
    expected = [*CELLS, *TOPOLOGIES, *classes(lit_seq.cores, Core)]
    assert {one.__name__ for one in expected} <= names
