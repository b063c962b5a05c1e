"""Pascanu's regulariser against explicit Jacobians, finite differences and packs."""

from functools import partial

import pandas as pd
import pytest
import torch

from lit_seq.cells import (
    GRU,
    LSTM,
    BatchNormInputElman,
    BatchNormLSTM,
    Clockwork,
    DeepTransition,
    Elman,
    FeedForward,
    LayerNormLSTM,
    Leaky,
    MinGRU,
    OrthogonalElman,
    Skip,
)
from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import NTM, AttentionSummary, ReNet, Stack
from lit_seq.data import Batch, Task, Vocabulary
from lit_seq.data.batch import IGNORED
from lit_seq.errors import UserError
from lit_seq.packing.keys import pack_key
from lit_seq.packing.plan import Keys
from lit_seq.packing.run import run_pack
from lit_seq.topologies import LanguageModel, ManyToMany, ManyToOne, Topology
from lit_seq.topologies.omega import measure_with_omega

pytestmark = pytest.mark.usefixtures("double")

CELLS = {
    "elman": Elman,
    "relu": partial(Elman, activation="relu"),
    "lstm": LSTM,
    "peepholes": partial(LSTM, peepholes=True),
    "gru": GRU,
    "skip": partial(Skip, delays=(1, 3)),
    "clockwork": partial(Clockwork, periods=(1, 2)),
    "deep": partial(DeepTransition, input_layers=2, output_layers=1),
    "normalised": LayerNormLSTM,
    "orthogonal": OrthogonalElman,
    "min": MinGRU,
    "leaky": Leaky,
    "memoryless": FeedForward,
}
FORMS = {
    "plain": {},
    "deep": {"layers": 2, "skips": "residual", "learned_initial_state": True},
    "both": {"bidirectional": True, "layers": 2},
}
LENGTHS = torch.tensor([7, 1, 5])


def build(topology, cell, **options):
    torch.manual_seed(4)
    core = partial(Stack, cell=cell, hidden_size=4, **options)
    if topology is LanguageModel:
        task = Task("tokens", 3, "classes", 3, "next", Vocabulary("character", ("�", "a", "b")).to_dict())
    else:
        task = Task("tokens", 3, "classes", 3, "step" if topology is ManyToMany else "sequence")
    model = topology(task, core, embedding_size=2, omega=0.7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return model


def batch_for(topology):
    torch.manual_seed(5)
    inputs = torch.randint(3, (3, 7))
    if topology is LanguageModel:
        return Batch(inputs, torch.randint(3, (3, 7)))
    if topology is ManyToOne:
        return Batch(inputs, torch.randint(3, (3,)), LENGTHS)
    targets = torch.randint(3, (3, 7))
    targets[torch.arange(7) >= LENGTHS.unsqueeze(1)] = IGNORED
    # Nothing depends on the last steps of this one.
    targets[0, 5:] = IGNORED
    return Batch(inputs, targets, LENGTHS)


def parts(model, batch):
    """Each sequence alone, as loops: of each scan its cell, inputs, states before the steps, and errors."""
    for index in range(len(batch.inputs)):
        length = 7 if batch.lengths is None else int(batch.lengths[index])
        inputs = model.features(batch.inputs[index : index + 1, :length])
        scans, summary = [], torch.zeros(())
        start = model.core.initial_state(1)
        for number, layer in enumerate(model.core.layers):
            outputs, ends = [], []
            for direction, cell in enumerate(layer):
                x = inputs.flip(0) if direction else inputs
                state, states, joints, results = start[number][direction], [], [], []
                for step in x:
                    states.append(state)
                    after = cell.step(cell.project(step), state)
                    # In one tensor, by which E can be differentiated.
                    sizes = [part.shape[-1] for part in after if part.is_floating_point()]
                    joint = torch.cat([part for part in after if part.is_floating_point()], -1)
                    pieces = iter(joint.split(sizes, -1))
                    state = type(after)(*(next(pieces) if p.is_floating_point() else p for p in after))
                    joints.append(joint)
                    results.append(cell.output(state))
                results = torch.stack(results)
                outputs.append(results.flip(0) if direction else results)
                ends.append(results[-1])
                scans.append((cell, x, states, joints))
            above = torch.cat(outputs, -1)
            top = torch.cat(ends, -1)
            if model.core.skips == "residual":
                summary = summary + top
                above = above if number == 0 else inputs + above
            else:
                summary = top
            inputs = above
        if isinstance(model, ManyToOne):
            loss = torch.nn.functional.cross_entropy(model.head(summary), batch.targets[index : index + 1])
        else:
            targets = batch.targets[index, :length]
            loss = torch.nn.functional.cross_entropy(
                model.head(inputs).squeeze(1), targets, ignore_index=IGNORED
            )
        for cell, x, states, joints in scans:
            errors = torch.autograd.grad(loss, joints, retain_graph=True, allow_unused=True)
            detached = [type(state)(*(part.detach() for part in state)) for state in states]
            yield cell, x.detach(), detached, errors


def term(cell, x, state, error):
    """Ω_k by the Jacobian of a step, written out."""
    sizes = [part.shape[-1] for part in state if part.is_floating_point()]

    def step(joint):
        pieces = iter(joint.split(sizes, -1))
        before = type(state)(*(next(pieces) if part.is_floating_point() else part for part in state))
        after = cell.step(cell.project(x), before)
        return torch.cat([part for part in after if part.is_floating_point()], -1)

    joint = torch.cat([part for part in state if part.is_floating_point()], -1)
    jacobian = torch.autograd.functional.jacobian(step, joint).reshape(sum(sizes), sum(sizes))
    return ((error.reshape(-1) @ jacobian).norm() / error.norm() - 1) ** 2


def by_hand(found):
    return sum(
        term(cell, step, state, error)
        for cell, x, states, errors in found
        for step, state, error in zip(x, states, errors, strict=True)
        if error is not None and error.norm() > 0
    )


def omega(model, batch):
    size, time = batch.inputs.shape[:2]
    return measure_with_omega(lambda: model.measure(batch), model.core, time, size)


CASES = [
    *((ManyToOne, cell, "plain") for cell in CELLS),
    *((ManyToMany, cell, "deep") for cell in ("elman", "lstm", "clockwork")),
    *((topology, cell, "both") for topology in (ManyToOne, ManyToMany) for cell in ("gru", "lstm")),
    (LanguageModel, "lstm", "deep"),
]


@pytest.mark.parametrize(("topology", "cell", "form"), CASES)
def test_omega_equals_the_formula_with_explicit_jacobians(topology, cell, form):
    model, batch = build(topology, CELLS[cell], **FORMS[form]), batch_for(topology)
    measured, value = omega(model, batch)
    expected = by_hand(parts(model, batch)) / len(batch.inputs)
    assert expected > 0.01
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(measured.means["loss"], model.measure(batch).means["loss"], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("topology", "cell", "form"),
    [(ManyToOne, "elman", "plain"), (ManyToMany, "lstm", "deep"), (LanguageModel, "gru", "plain")],
)
def test_its_gradient_is_the_immediate_one(topology, cell, form):
    model, batch = build(topology, CELLS[cell], **FORMS[form]), batch_for(topology)
    frozen = list(parts(model, batch))
    omega(model, batch)[1].backward()
    generator = torch.Generator().manual_seed(0)
    inside = {id(parameter) for cell in model.core.layers.modules() for parameter in cell.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) not in inside:
            assert parameter.grad is None or not parameter.grad.any(), name
            continue
        for _ in range(4):
            place = tuple(int(torch.randint(size, (), generator=generator)) for size in parameter.shape)
            values = []
            for change in (1e-6, -2e-6):
                with torch.no_grad():
                    parameter[place] += change
                values.append(by_hand(frozen) / len(batch.inputs))
            with torch.no_grad():
                parameter[place] += 1e-6
            slope = (values[0] - values[1]) / 2e-6
            torch.testing.assert_close(parameter.grad[place], slope, rtol=1e-5, atol=1e-7)


def test_training_minimises_the_loss_and_omega_times_its_coefficient():
    model, batch = build(ManyToMany, LSTM, layers=2), batch_for(ManyToMany)
    objective, measured = model.objective(batch)
    loss, value = model.measure(batch).means["loss"], omega(model, batch)[1]
    torch.testing.assert_close(objective, loss + 0.7 * value, rtol=1e-12, atol=0)
    torch.testing.assert_close(measured.means["omega"], value.detach(), rtol=1e-12, atol=0)
    together = torch.autograd.grad(objective, list(model.parameters()))
    apart = torch.autograd.grad(loss + 0.7 * value, list(model.parameters()))
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=1e-12)


def test_a_gradient_too_small_to_square_counts():
    torch.set_default_dtype(torch.float32)
    model = ManyToOne(
        Task("vectors", 1, "values", 1, "sequence"),
        partial(Stack, cell=partial(Elman, activation="linear", recurrent_init="identity"), hidden_size=3),
        omega=1.0,
    )
    with torch.no_grad():
        model.core.layers[0][0].weight_recurrent.mul_(0.25)
    # 0.25^60 is 1e-36, whose square float32 cannot hold; each of 60 steps loses 3/4.
    value = omega(model, Batch(torch.randn(2, 60, 1), torch.randn(2, 1)))[1]
    assert float(value) == pytest.approx(60 * 0.75**2, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"omega": -1.0}, "omega is -1.0; it must be null, or a number that is at least 0"),
        ({"omega": float("nan")}, "omega is nan; it must be null"),
        ({"omega": float("inf")}, "omega is inf; it must be null"),
        ({"cell": BatchNormLSTM}, "batch normalisation mixes"),
        ({"cell": BatchNormInputElman}, "batch normalisation mixes"),
    ],
)
def test_senseless_options_are_refused(options, sentence):
    core = partial(Stack, cell=options.get("cell", LSTM))
    with pytest.raises(UserError, match=sentence):
        ManyToOne(Task("vectors", 4, "classes", 2, "sequence"), core, omega=options.get("omega", 1.0))


@pytest.mark.parametrize(("core", "name"), [(NTM, "NTM"), (ReNet, "ReNet")])
def test_a_core_that_goes_another_way_is_refused(core, name):
    model = ManyToOne(Task("vectors", 4, "classes", 2, "sequence"), partial(core, hidden_size=4), omega=1.0)
    with pytest.raises(UserError, match=f"omega is for a core that scans its cells .* {name} does not"):
        model.objective(Batch(torch.randn(3, 6, 4), torch.randint(2, (3,))))


def test_a_core_around_a_stack_is_served():
    core = partial(AttentionSummary, encoder=partial(Stack, cell=GRU, hidden_size=4))
    model = ManyToOne(Task("vectors", 4, "classes", 2, "sequence"), core, omega=1.0)
    assert model.objective(Batch(torch.randn(3, 6, 4), torch.randint(2, (3,))))[1].means["omega"] > 0


TASKS = {
    "order": [
        *("--model", "ManyToOne", "--data", "TemporalOrder", "--data.length", "10"),
        *("--model.core.cell", "Elman", "--model.core.recurrent_dropout", "0.2"),
    ],
    "copying": ["--model", "ManyToMany", "--data", "CopyingMemory", "--data.length", "3"],
    "language": ["--model", "LanguageModel", "--data", "Shakespeare", "--data.chunk_length", "6"],
}


def command(folder, name, task, index, coefficient):
    return [
        *("fit", *TASKS[task], "--model.embedding_size", "3", "--model.core.hidden_size", "4"),
        *("--model.core.layers", "2", "--model.core.dropout", "0.3", "--data.batch_size", "4"),
        *("--trainer.precision", "64-true", "--trainer.max_steps", "12", "--trainer.log_every_n_steps", "2"),
        *("--trainer.limit_val_batches", "2", "--trainer.enable_progress_bar", "false"),
        *("--trainer.gradient_clip_val", "0.5", "--wandb.mode", "disabled", "--seed_everything", str(index)),
        *("--runs_dir", str(folder), "--name", f"{name}{index}", f"--model.omega={coefficient}"),
    ]


@pytest.mark.parametrize(
    "task", ["order", *(pytest.param(n, marks=pytest.mark.slow) for n in list(TASKS)[1:])]
)
def test_packed_trials_equal_solo_runs(tmp_path, capsys, task):
    coefficients = [0, 0.5, 3]
    packed = [command(tmp_path, "packed", task, *each) for each in enumerate(coefficients)]
    assert run_pack(packed) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for each in enumerate(coefficients):
        assert main(command(tmp_path, "solo", task, *each)) == 0
        one, other = (
            pd.read_csv(tmp_path / f"{name}{each[0]}" / "metrics.csv") for name in ("packed", "solo")
        )
        assert other["train/omega"].count() == 6
        loaded = load_model(tmp_path / f"packed{each[0]}" / "checkpoints" / "last.ckpt", Topology)
        assert float(loaded.omega) == each[1] == loaded.hparams["omega"]
        assert "val/omega" not in other
        for column in other:
            # Lightning keeps validation metrics in float32 whatever the precision.
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(one[column], other[column], rtol=rtol, atol=0)


def test_no_omega_is_as_a_coefficient_of_zero_and_logs_none(tmp_path):
    for name, coefficient in (("off", "null"), ("zero", 0)):
        assert main(command(tmp_path, name, "order", 0, coefficient)) == 0
    off, zero = (pd.read_csv(tmp_path / f"{name}0" / "metrics.csv") for name in ("off", "zero"))
    assert "train/omega" not in off
    pd.testing.assert_frame_equal(off, zero[list(off)], rtol=1e-6)


def test_a_trial_without_omega_is_in_another_pack():
    def key(values):
        options = {**values["model"], "core": {"class_path": "lit_seq.cores.Stack", "init_args": {}}}
        model = {"class_path": "lit_seq.topologies.ManyToOne", "init_args": options}
        data = {"class_path": "lit_seq.data.TemporalOrder", "init_args": {}}
        optimizer = {"class_path": "torch.optim.Adam", "init_args": {}}
        return pack_key({"model": model, "data": data, "optimizer": optimizer, "trainer": {}})

    keys, values = Keys(key), [{"model": {"omega": omega}} for omega in (0.0, None, 2.0, None)]
    assert "model.omega" in key(values[0]).values
    zero, off, two, again = (keys(each) for each in values)
    assert zero == two != off == again


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2])
def test_it_lets_an_elman_network_remember_an_order_that_it_would_not(tmp_path, seed):
    """Pascanu et al. 2013, section 4.1: temporal order, small initial weights, SGD with clipping.

    Of 30 to 33 steps, with 1000 updates; measured 0.50 and 0.99 (seed 1), 0.48 and 0.91 (seed 2).
    """
    torch.set_default_dtype(torch.float32)
    accuracy = {}
    for coefficient in ("null", "1"):
        options = [
            *("--model=ManyToOne", "--model.embedding_size=null", f"--model.omega={coefficient}"),
            *("--model.core.cell=Elman", "--model.core.hidden_size=50"),
            *("--model.core.cell.recurrent_init=normal", "--model.core.cell.recurrent_std=0.1"),
            *("--model.core.cell.input_init=normal", "--model.core.cell.input_std=0.1"),
            *(
                "--data=TemporalOrder",
                "--data.length=30",
                "--data.batch_size=20",
                "--data.validation_size=500",
            ),
            *("--optimizer=SGD", "--optimizer.lr=0.03", "--trainer.gradient_clip_val=1"),
            *("--trainer.max_steps=1000", "--trainer.enable_progress_bar=false", "--wandb.mode=disabled"),
            *(f"--seed_everything={seed}", "--runs_dir", str(tmp_path), "--name", coefficient),
        ]
        assert main(["fit", *options]) == 0
        accuracy[coefficient] = pd.read_csv(tmp_path / coefficient / "metrics.csv")["val/accuracy"].dropna()
    assert accuracy["null"].max() < 0.6
    assert accuracy["1"].iloc[-1] > 0.85
