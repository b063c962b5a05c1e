"""Diagnostics in runs, alone and in packs: what they leave behind, and that training is the same."""

import json
from pathlib import Path

import lightning as L
import numpy as np
import pandas as pd
import pytest

from lit_seq.cli import main
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack

ALL = ("GradientFlow", "StateJacobians", "Spectra", "GateSaturation", "ClippedSteps")
STEPS = [1, 4, 6, 8, 12]
EVERY = "--trainer.callbacks.every=4"
CALLBACKS = [word for one in ALL for word in (f"--trainer.callbacks+={one}", EVERY)]


def command(folder, name, index=0, diagnostics=ALL, clip=0.5):
    return [
        *("fit", "--model", "ManyToOne", "--model.core.cell", "GRU", "--model.core.hidden_size", "5"),
        *("--model.core.dropout", "0.2", "--model.core.layers", "2"),
        *("--data", "TemporalOrder", "--data.length", "12", "--data.batch_size", "8"),
        *("--data.validation_size", "16", "--trainer.max_steps", "12", "--trainer.log_every_n_steps", "1"),
        *("--trainer.precision", "64-true", "--trainer.enable_progress_bar", "false"),
        *("--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=6"),
        *(f"--trainer.gradient_clip_val={clip}", "--wandb.mode", "disabled", "--seed_everything", str(index)),
        *("--runs_dir", str(folder), "--name", f"{name}{index}"),
        *(word for one in diagnostics for word in (f"--trainer.callbacks+={one}", EVERY)),
    ]


def arrays(folder):
    return {
        f"{path.stem}/{name}": array
        for path in sorted((folder / "diagnostics").glob("*.npz"))
        for name, array in np.load(path).items()
    }


def metrics(folder, of_diagnostics):
    table = pd.read_csv(folder / "metrics.csv")
    columns = [
        name for name in table if name.startswith("diagnostics/") == of_diagnostics and name != "epoch"
    ]
    columns = list(dict.fromkeys(["step", *columns]))
    return table[columns].dropna(subset=columns[1:], how="all").groupby("step").first()


@pytest.fixture(scope="module")
def solo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("solo")
    assert main(command(folder, "with")) == 0
    return folder / "with0"


def test_a_run_leaves_arrays_numbers_and_drawings(solo):
    found = arrays(solo)
    assert {name.split("/")[0] for name in found} == set(ALL)
    for name, array in found.items():
        assert len(array) == len(STEPS), name
        if name.endswith("/step"):
            assert array.tolist() == STEPS
    numbers = metrics(solo, True)
    assert numbers.index.tolist() == [step - 1 for step in STEPS]
    cell = "Spectra/core.layers.{}.0/eigenvalues"
    radius = np.max([np.abs(found[cell.format(layer)]).max((1, 2)) for layer in (0, 1)], 0)
    np.testing.assert_allclose(numbers["diagnostics/spectral_radius"], radius, rtol=1e-12)
    lines = [json.loads(line) for line in (solo / "samples.jsonl").read_text().splitlines()]
    for moment, step in (("start", 1), ("middle", 6), ("end", 12)):
        titles = [line.get("title", "") for line in lines if line["moment"] == moment]
        assert sum("‖∂E/∂h_t‖" in title for title in titles) == 1
        assert {line["step"] for line in lines if line["moment"] == moment} == {step}


def test_the_share_of_clipped_steps_is_that_of_the_logged_norms(solo):
    above = metrics(solo, False)["train/gradient_norm"] > 0.5
    assert 0 < above.sum() < 12
    found = arrays(solo)
    assert found["ClippedSteps/steps"].tolist() == STEPS
    assert found["ClippedSteps/clipped"].tolist() == [above.iloc[:step].sum() for step in STEPS]
    shares = [above.iloc[a:b].mean() for a, b in zip([0, *STEPS], STEPS, strict=False)]
    np.testing.assert_allclose(metrics(solo, True)["diagnostics/clipped_steps"], shares)


def test_training_is_the_same_without_them(solo, tmp_path):
    assert main(command(tmp_path, "without", diagnostics=())) == 0
    pd.testing.assert_frame_equal(
        metrics(solo, False), metrics(tmp_path / "without0", False), check_exact=True, check_like=True
    )
    assert not (tmp_path / "without0" / "diagnostics").exists()


def test_packed_trials_find_what_solo_runs_find_and_train_the_same_without_them(solo, tmp_path, capsys):
    thresholds = [0.5, "null", 0.4]
    assert run_pack([command(tmp_path, "pack", i, clip=clip) for i, clip in enumerate(thresholds)]) == [0] * 3
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    one, other = arrays(tmp_path / "pack0"), arrays(solo)
    assert list(one) == list(other)
    for name in one:
        values, expected = one[name], other[name]
        if "eigenvalues" in name:
            values, expected = np.sort_complex(values), np.sort_complex(expected)
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-9, err_msg=name)
    pd.testing.assert_frame_equal(metrics(tmp_path / "pack0", True), metrics(solo, True), rtol=1e-6)
    assert arrays(tmp_path / "pack1")["ClippedSteps/clipped"].tolist() == [0] * 5
    for index, threshold in ((0, 0.5), (2, 0.4)):
        above = metrics(tmp_path / f"pack{index}", False)["train/gradient_norm"] > threshold
        clipped = arrays(tmp_path / f"pack{index}")["ClippedSteps/clipped"]
        assert clipped.tolist() == [above.iloc[:step].sum() for step in STEPS]
    lines = (tmp_path / "pack2" / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines].count("statement") == 3
    assert run_pack([command(tmp_path, "bare", i, (), clip) for i, clip in enumerate(thresholds)]) == [0] * 3
    for index in range(3):
        one, other = (metrics(tmp_path / f"{name}{index}", False) for name in ("pack", "bare"))
        pd.testing.assert_frame_equal(one, other, check_exact=True, check_like=True)


class Crash(L.Callback):
    """Raises before a training batch."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step:
            raise RuntimeError("crash")


@pytest.mark.parametrize("step", [3, *(pytest.param(step, marks=pytest.mark.slow) for step in (6, 9))])
def test_a_resumed_run_has_what_one_that_was_not_interrupted_has(solo, tmp_path, monkeypatch, step):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    halted = [*command(tmp_path, "halted"), f"--checkpoint.every_steps={2 if step == 9 else 1}"]
    crash = [f"--trainer.callbacks+={Path(__file__).stem}.Crash", f"--trainer.callbacks.step={step}"]
    assert main([*halted, *crash]) == 1
    again = command(tmp_path, "halted", diagnostics=())
    assert main([*again, "--trainer.callbacks=null", *CALLBACKS, "--ckpt_path=last"]) == 0
    one, other = arrays(tmp_path / "halted0"), arrays(solo)
    assert list(one) == list(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)
    pd.testing.assert_frame_equal(metrics(tmp_path / "halted0", True), metrics(solo, True), check_exact=True)
    assert (tmp_path / "halted0" / "samples.jsonl").read_text() == (solo / "samples.jsonl").read_text()


def test_a_pack_goes_on_counting_where_it_was_stopped(solo, tmp_path):
    parts = [command(tmp_path, "parts", index) for index in range(2)]
    assert run_pack([[*part, "--trainer.max_steps=7"] for part in parts]) == [0, 0]
    assert run_pack([[*part, "--ckpt_path=last"] for part in parts]) == [0, 0]
    found, whole = arrays(tmp_path / "parts0"), arrays(solo)
    for name in ("steps", "clipped"):
        assert found[f"ClippedSteps/{name}"][-1] == whole[f"ClippedSteps/{name}"][-1]
    # Half of seven steps, and their end, were moments; half of twelve was in the middle of them.
    assert found["GradientFlow/step"].tolist() == [1, 3, 4, 7, 8, 12]


def test_a_loss_that_is_no_number_is_no_failure(tmp_path):
    arguments = command(tmp_path, "run", diagnostics=[one for one in ALL if one != "GateSaturation"])
    wild = ["--model.core.cell=Elman", "--model.core.cell.activation=relu", "--optimizer=SGD"]
    assert main([*arguments, *wild, "--optimizer.lr=1e300"]) == 1
    status = json.loads((tmp_path / "run0" / "status.json").read_text())
    assert status["state"] == "diverged"


@pytest.mark.parametrize("trials", [1, 2])
def test_a_module_of_the_users_own_has_no_insides_that_are_known(tmp_path, monkeypatch, capsys, trials):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "packing"))
    arguments = [
        *("fit", "--model=packing_user_module.Counter", "--data=packing_user_module.Bits"),
        *("--trainer.max_steps=2", "--wandb.mode=disabled", "--trainer.callbacks+=Spectra"),
        *("--trainer.enable_progress_bar=false", f"--runs_dir={tmp_path}"),
    ]
    refused = "Spectra is for the topologies of lit-seq; the model is a Counter"
    if trials == 1:
        assert main([*arguments, "--name=0"]) == 2
        assert refused in capsys.readouterr().err
    else:
        with pytest.raises(UserError, match=refused):
            run_pack([[*arguments, f"--name={index}"] for index in range(trials)])


def test_options_may_differ_within_a_pack(tmp_path, capsys):
    commands = [command(tmp_path, "pack", 0, ("Spectra",)), command(tmp_path, "pack", 1, ("GradientFlow",))]
    assert run_pack([commands[0], [*commands[1], "--trainer.callbacks.every=12"]]) == [0, 0]
    assert "A pack of 2 trials" in capsys.readouterr().err
    assert arrays(tmp_path / "pack0")["Spectra/step"].tolist() == STEPS
    assert arrays(tmp_path / "pack1")["GradientFlow/step"].tolist() == [1, 6, 12]
