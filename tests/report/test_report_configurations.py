import pytest
from fake_sweep import write_sweep, write_trial

from lit_seq.report.configurations import group, labels, settings, short_names, show, varying_keys
from lit_seq.report.read import read_runs


def sweep_of(folder, overrides, config=None):
    write_sweep(folder, {})
    for number, one in enumerate(overrides):
        write_trial(folder / "trials" / f"{number:04d}", one, [], config=config)
    return read_runs(folder)


def test_within_a_sweep_the_overrides_that_vary_tell_configurations_apart(tmp_path):
    overrides = [
        {"model.core.cell": cell, "optimizer.lr": 0.01, "seed_everything": seed}
        for cell in ("GRU", "LSTM")
        for seed in (1, 2)
    ]
    runs = sweep_of(tmp_path / "s", overrides)
    keys, together = varying_keys(runs)
    assert (keys, together) == (["model.core.cell"], [])
    assert [(c.label, len(c.runs)) for c in group(runs, keys)] == [("GRU", 2), ("LSTM", 2)]


def test_single_runs_are_told_apart_by_their_full_configurations(tmp_path):
    for name, cell, seed in (("a", "LSTM", 1), ("b", "GRU", 1), ("c", "GRU", 2)):
        arguments = {"forget_bias": 1.0} if cell == "LSTM" else {}
        config = {
            "seed_everything": seed,
            "name": name,
            "model": {
                "class_path": "LanguageModel",
                "init_args": {"cell": {"class_path": f"lit_seq.cells.{cell}"}},
            },
            "trainer": {"max_steps": 100, "default_root_dir": f"runs/{name}"},
        }
        config["model"]["init_args"]["cell"]["init_args"] = arguments
        write_trial(tmp_path / name, {}, [], config=config)
    runs = read_runs(tmp_path)
    keys, _ = varying_keys(runs)
    assert keys == ["model.cell"]
    assert [(c.label, len(c.runs)) for c in group(runs, keys)] == [("LSTM", 1), ("GRU", 2)]


def test_what_varies_in_step_with_a_key_is_named(tmp_path):
    for name, cell, rate in (("a", "LSTM", 0.1), ("b", "GRU", 0.2)):
        write_trial(tmp_path / name, {}, [], config={"cell": cell, "lr": rate})
    assert varying_keys(read_runs(tmp_path)) == (["cell"], ["lr"])


def test_two_sweeps_that_differ_in_their_base_are_not_mixed(tmp_path):
    for size in (64, 128):
        sweep_of(
            tmp_path / f"s{size}",
            [{"lr": rate, "seed_everything": seed} for rate in (0.1, 0.2) for seed in (1, 2)],
            config={"hidden_size": size, "lr": 0.5},
        )
    runs = read_runs(tmp_path)
    keys, _ = varying_keys(runs)
    assert sorted(keys) == ["hidden_size", "lr"]
    assert [len(c.runs) for c in group(runs, keys)] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([{"m.cell": "LSTM"}, {"m.cell": "GRU"}], ["LSTM", "GRU"]),
        (
            [{"m.cell": "a.b.LSTM", "o.lr": 0.01}, {"m.cell": "a.b.GRU", "o.lr": 0.1}],
            ["LSTM, lr 0.01", "GRU, lr 0.1"],
        ),
        ([{"o.lr": 0.01}, {"o.lr": 0.1}], ["lr 0.01", "lr 0.1"]),
        ([{"a": "x"}, {"b": "x"}], ["a x", "b x"]),
        (
            [{"a": "y" * 90 + "1"}, {"a": "y" * 90 + "2"}],
            ["a " + "y" * 47 + "… #1", "a " + "y" * 47 + "… #2"],
        ),
        ([{}], ["all trials"]),
        ([{"a": None, "b": True}, {"a": "x", "b": False}], ["none, b true", "x, b false"]),
    ],
)
def test_labels_are_short_and_unique(settings, expected):
    assert labels(settings) == expected


def test_keys_are_cut_to_what_keeps_them_apart():
    keys = ["model.core.hidden_size", "model.head.hidden_size", "optimizer.lr", "cell"]
    assert list(short_names(keys).values()) == ["core.hidden_size", "head.hidden_size", "lr", "cell"]


def test_settings_are_shown_as_a_person_would_write_them():
    assert [show(v) for v in (0.1 + 0.2, 3, "torch.optim.Adam", "two words.", [1, 2])] == [
        "0.3",
        "3",
        "Adam",
        "two words.",
        "[1, 2]",
    ]


def test_what_one_sweep_varies_and_another_has_in_its_base_is_the_same_setting(tmp_path):
    sweep_of(tmp_path / "a", [{"model.cell": "LSTM", "seed_everything": 1}], {"model": {"cell": "LSTM"}})
    cell = {"class_path": "lit_seq.cells.lstm.LSTM", "init_args": {"forget_bias": 1.0}}
    base = {"model": {"class_path": "LanguageModel", "init_args": {"cell": cell}}}
    sweep_of(tmp_path / "b", [{"optimizer.lr": rate, "seed_everything": 2} for rate in (0.1, 0.2)], base)
    assert {settings(run)["model.cell"] for run in read_runs(tmp_path)} == {"LSTM"}
    assert settings(read_runs(tmp_path / "b")[0])["model.cell.forget_bias"] == 1.0


def test_a_number_is_the_same_setting_written_whole_or_not(tmp_path):
    written = [{"model.cell.bias": bias, "seed_everything": seed} for seed, bias in enumerate((1, 1.0, 2))]
    sweep_of(tmp_path / "s", written)
    assert [len(one.runs) for one in group(read_runs(tmp_path / "s"), ["model.cell.bias"])] == [2, 1]
