"""Sweep files: what is understood, and one sentence for everything else."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from lit_seq.errors import UserError
from lit_seq.sweep.file import Metric, read_sweep_file

VALID = {
    "program": "train.py",
    "method": "random",
    "name": "a sweep",
    "description": "what it is for",
    "project": "p",
    "entity": "e",
    "metric": {"name": "val/loss", "goal": "maximize", "target": 0.5},
    "run_cap": 3,
    "command": ["${env}", "lit-seq", "fit", "--config", "base.yaml", "--config", "${args_json_file}"],
    "parameters": {
        "optimizer.lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1},
        "model.core": {"parameters": {"cell": {"values": ["LSTM", "GRU"], "probabilities": [0.25, 0.75]}}},
        "seed_everything": {"value": 3},
    },
}


def write(folder: Path, content: object) -> Path:
    path = folder / "demo.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def test_everything_that_wandb_documents_is_read(tmp_path: Path) -> None:
    file = read_sweep_file(write(tmp_path, VALID))
    assert (file.name, file.method, file.run_cap, file.project, file.entity) == (
        "a sweep",
        "random",
        3,
        "p",
        "e",
    )
    assert file.metric == Metric("val/loss", "maximize", 0.5)
    assert [p.name for p in file.parameters] == ["model.core.cell", "optimizer.lr", "seed_everything"]
    assert file.parameters[0].path == ("model.core", "cell")
    assert file.notes == []


def test_a_file_without_a_name_is_called_by_its_stem(tmp_path: Path) -> None:
    assert read_sweep_file(write(tmp_path, {k: v for k, v in VALID.items() if k != "name"})).name == "demo"


LR = {"distribution": "uniform", "min": 0.0, "max": 1.0}
WRONG = {
    "misspelt top-level key": ({"paramters": {}}, ["'paramters'", "did you mean 'parameters'", "method"]),
    "unknown method": ({"method": "gird"}, ["method is 'gird'", "did you mean 'grid'", "bayes"]),
    "early_terminate": ({"early_terminate": "hyperband"}, ["early_terminate must be a mapping", "type"]),
    "no type": ({"early_terminate": {"min_iter": 3}}, ["early_terminate lacks the key 'type'"]),
    "other type": ({"early_terminate": {"type": "hyperbond", "min_iter": 3}}, ["did you mean 'hyperband'"]),
    "unknown key": ({"early_terminate": {"type": "hyperband", "min_itr": 3}}, ["did you mean 'min_iter'"]),
    "no brackets": ({"early_terminate": {"type": "hyperband"}}, ["early_terminate", "neither"]),
    "both ways": (
        {"early_terminate": {"type": "hyperband", "min_iter": 3, "max_iter": 9, "s": 2}},
        ["early_terminate", "both"],
    ),
    "no s": ({"early_terminate": {"type": "hyperband", "max_iter": 9}}, ["lacks s"]),
    "s alone": ({"early_terminate": {"type": "hyperband", "min_iter": 3, "s": 2}}, ["lacks max_iter"]),
    "eta": ({"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 1}}, ["eta must be above 1"]),
    "min_iter": ({"early_terminate": {"type": "hyperband", "min_iter": 2.5}}, ["min_iter must be a whole"]),
    "strict": (
        {"early_terminate": {"type": "hyperband", "min_iter": 3, "strict": 1}},
        ["strict must be true or false"],
    ),
    "launch key": ({"job": "a/b:latest"}, ["'job'", "Launch"]),
    "metric key": ({"metric": {"nmae": "x"}}, ["metric", "'nmae'", "did you mean 'name'"]),
    "metric without name": ({"metric": {"goal": "minimize"}}, ["metric", "'name'"]),
    "metric goal": (
        {"metric": {"name": "x", "goal": "minimise"}},
        ["metric.goal", "did you mean 'minimize'"],
    ),
    "metric target": ({"metric": {"name": "x", "target": "low"}}, ["metric.target", "number"]),
    "run_cap": ({"run_cap": 0}, ["run_cap", "at least 1"]),
    "run_cap text": ({"run_cap": "3"}, ["run_cap", "whole number", "'3'"]),
    "name": ({"name": ["x"]}, ["name", "text"]),
    "no parameters": ({"parameters": {}}, ["parameters", "at least one"]),
    "parameter without a mapping": ({"parameters": {"lr": 0.1}}, ["parameters.lr", "mapping", "values"]),
    "misspelt parameter key": (
        {"parameters": {"lr": {"vlaues": [1]}}},
        ["parameters.lr", "'vlaues'", "'values'?"],
    ),
    "empty values": ({"parameters": {"lr": {"values": []}}}, ["parameters.lr.values", "at least one"]),
    "values no list": ({"parameters": {"lr": {"values": 3}}}, ["parameters.lr.values", "list"]),
    "nothing said": ({"parameters": {"lr": {"min": 3}}}, ["parameters.lr", "too little"]),
    "unknown distribution": (
        {"parameters": {"lr": {"distribution": "loguniform", "min": 1, "max": 2}}},
        ["parameters.lr.distribution", "'loguniform'", "did you mean 'log_uniform'"],
    ),
    "key of another distribution": (
        {"parameters": {"lr": {**LR, "sigma": 1}}},
        ["parameters.lr (distribution uniform)", "'sigma'", "min, max"],
    ),
    "missing bound": (
        {"parameters": {"lr": {"distribution": "uniform", "min": 0}}},
        ["parameters.lr", "'max'"],
    ),
    "bounds upside down": ({"parameters": {"lr": {**LR, "min": 2}}}, ["min 2 is not below max 1.0"]),
    "bound is a text": (
        {"parameters": {"lr": {"min": "a", "max": 2}}},
        ["parameters.lr.min", "number", "'a'"],
    ),
    "bound of log": (
        {"parameters": {"lr": {"distribution": "log_uniform_values", "min": 0, "max": 1}}},
        ["min", "above 0"],
    ),
    "exponents too large": (
        {"parameters": {"lr": {"distribution": "log_uniform", "min": 1, "max": 1000}}},
        ["exponents of e"],
    ),
    "fractional integer": (
        {"parameters": {"n": {"distribution": "int_uniform", "min": 0.5, "max": 3}}},
        ["parameters.n", "whole number"],
    ),
    "q": ({"parameters": {"n": {**LR, "distribution": "q_uniform", "q": 0}}}, ["q", "above 0"]),
    "sigma": ({"parameters": {"n": {"distribution": "normal", "sigma": -1}}}, ["sigma", "below 0"]),
    "probabilities' sum": (
        {"parameters": {"n": {"values": [1, 2], "probabilities": [0.5, 0.6]}}},
        ["parameters.n.probabilities", "add up to 1", "1.1"],
    ),
    "probabilities' number": (
        {"parameters": {"n": {"values": [1, 2], "probabilities": [1.0]}}},
        ["1 elements for 2 values"],
    ),
    "beside nested": (
        {"parameters": {"m": {"parameters": {"a": {"value": 1}}, "value": 3}}},
        ["parameters.m", "'value'"],
    ),
    "deep inside nested": (
        {"parameters": {"m": {"parameters": {"a": {"valu": 1}}}}},
        ["parameters.m.parameters.a", "'valu'"],
    ),
    "same key twice": (
        {"parameters": {"m": {"parameters": {"a": {"value": 1}}}, "m.a": {"value": 2}}},
        ["'m.a'", "twice"],
    ),
    "parameter's name": ({"parameters": {"--lr": {"value": 1}}}, ["'--lr'", "letters"]),
    "parameter of the sweep": ({"parameters": {"name": {"value": "x"}}}, ["'name'", "the sweep itself"]),
    "grid of a distribution": (
        {"method": "grid", "parameters": {"optimizer.lr": LR}},
        ["optimizer.lr", "no finite list", "q_uniform"],
    ),
    "endless grid": (
        {"method": "grid", "parameters": {"n": {"min": 1, "max": 10**15}}},
        ["parameters.n", "1,000,000,000,000,000 grid values", "10,000"],
    ),
    "weights in a grid": (
        {"method": "grid", "parameters": {"a": {"values": [1, 2], "probabilities": [0.5, 0.5]}}},
        ["parameters.a", "probabilities", "only method random"],
    ),
    "command is a text": ({"command": "lit-seq fit"}, ["command", "list"]),
    "another program": (
        {"command": ["python", "train.py", "${args}"]},
        ["command", "lit-seq fit", "python train.py"],
    ),
    "another subcommand": ({"command": ["lit-seq", "test", "${args}"]}, ["command", "lit-seq fit"]),
    "no parameters in it": ({"command": ["lit-seq", "fit"]}, ["command", "no parameter", "${args}"]),
    "misspelt macro": ({"command": ["lit-seq", "fit", "${arg}"]}, ["${arg}", "did you mean '${args}'"]),
    "macro inside a word": (
        {"command": ["lit-seq", "fit", "--config=${args_json_file}"]},
        ["${args_json_file}", "element of its own"],
    ),
    "unset variable": (
        {"command": ["lit-seq", "fit", "${envvar:LIT_SEQ_NOT_SET}"]},
        ["LIT_SEQ_NOT_SET", "not set"],
    ),
    "missing program": (
        {"command": ["${program}", "fit", "${args}"], "program": None},
        ["program"],
    ),
    "option of the sweep": ({"command": ["lit-seq", "fit", "--name", "x"]}, ["'name'", "the sweep itself"]),
    "infinity": ({"parameters": {"a": {"value": float("inf")}}}, ["parameters.a.value", "finite"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_told_apart(tmp_path: Path, case: str) -> None:
    changes, expected = WRONG[case]
    with pytest.raises(UserError) as raised:
        read_sweep_file(write(tmp_path, {**VALID, **changes}))
    message = str(raised.value)
    assert "demo.yaml" in message
    assert "\n" not in message
    assert message.endswith(".")
    for words in expected:
        assert words in message


@pytest.mark.parametrize("key", ["method", "parameters", "command"])
def test_missing_keys_are_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(UserError, match=f"lacks the key '{key}'"):
        read_sweep_file(write(tmp_path, {k: v for k, v in VALID.items() if k != key}))


def test_random_needs_an_end_and_bayes_a_metric(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run_cap"):
        read_sweep_file(write(tmp_path, {k: v for k, v in VALID.items() if k != "run_cap"}))
    parameters = {"optimizer.lr": LR}
    bayes = {k: v for k, v in VALID.items() if k != "metric"} | {"method": "bayes", "parameters": parameters}
    with pytest.raises(UserError, match="metric"):
        read_sweep_file(write(tmp_path, bayes))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method: [", "not YAML"),
        ("a: 1\na: 2\n", "'a' stands twice"),
        ("- 1\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("1: 2\n", "not a text"),
        ("name: 2026-01-01\n", "quotes"),
        ("a: &x [*x]\n", "contains itself"),
        ("a: !!python/object:os.system {}\n", "not YAML"),
        ("a: !!bool 7\n", "not YAML"),
        ("a: \x07\n", "not YAML"),
    ],
)
def test_yaml_itself_may_be_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_sweep_file(write(tmp_path, text))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sweep file"):
        read_sweep_file(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        read_sweep_file(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: Ärger".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        read_sweep_file(tmp_path / "latin.yaml")


def test_exponents_without_a_dot_are_numbers_and_the_user_hears_of_wandb(tmp_path: Path) -> None:
    text = json.dumps(VALID).replace("0.0001", "1e-4").replace("0.1}", "1E-1}")
    assert isinstance(yaml.safe_load(text)["parameters"]["optimizer.lr"]["min"], str)  # W&B's client
    file = read_sweep_file(write(tmp_path, text))
    assert file.content["parameters"]["optimizer.lr"]["min"] == 1e-4
    assert file.content["parameters"]["optimizer.lr"]["max"] == 0.1
    (note,) = file.notes
    assert "1e-4 (and 1 more)" in note
    assert isinstance(yaml.safe_load(note.split("write ")[1].split(" for")[0]), float)


def test_quoted_exponents_stay_texts(tmp_path: Path) -> None:
    text = json.dumps({**VALID, "parameters": {"tag": {"value": "1e-3"}}})
    assert read_sweep_file(write(tmp_path, text)).parameters[0].at(0.5) == "1e-3"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
WORDS = st.sampled_from(
    [
        *("method", "parameters", "value", "values", "min", "max", "q", "mu", "sigma", "a", "b", "name"),
        *("distribution", "probabilities", "metric", "goal", "target", "command", "run_cap", "project"),
        *("uniform", "normal", "q_beta", "log_uniform", "int_uniform", "constant", "categorical", "random"),
        *("grid", "bayes", "lit-seq", "fit", "${args}", "${env}", "${envvar:HOME}", "early_terminate"),
    ]
)
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def paths(tree: object, path: tuple = ()) -> list[tuple]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(found for key, value in inner for found in paths(value, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn) -> object:
    """A valid file with one place replaced, removed or added to."""
    tree = json.loads(json.dumps(VALID))
    path = draw(st.sampled_from(paths(VALID)[1:]))
    node = tree
    for key in path[:-1]:
        node = node[key]
    action = draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "remove":
        del node[path[-1]]
    elif action == "add" and isinstance(node, dict):
        node[draw(WORDS | st.text(max_size=6))] = draw(JSON)
    else:
        node[path[-1]] = draw(JSON)
    return tree


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=damaged() | JSON)
@example(
    content={**VALID, "parameters": {"a": {"distribution": "q_uniform", "min": 0, "max": 1e300, "q": 1e-300}}}
)
@example(content={**VALID, "parameters": {"a": {"distribution": "log_normal", "mu": 1e308, "sigma": 1e308}}})
@example(content={**VALID, "parameters": {"a": {"min": -1e308, "max": 1.5e308}}})
@example(content={**VALID, "run_cap": 10**400})
def test_no_file_raises_anything_but_a_user_error(tmp_path: Path, content: object) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.dump(content, allow_unicode=True), encoding="utf-8", errors="replace")
    try:
        file = read_sweep_file(path)
    except UserError as error:
        event("refused" if "wrong.yaml" in str(error) else pytest.fail(str(error)))
        return
    event("read")
    for parameter in file.parameters:
        json.dumps([parameter.at(u) for u in (0.0, 0.5, 1.0)], allow_nan=False)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="abc:-[]{}!&*#?|>%@`'\"\n 019.e+~<=\t", max_size=40))
def test_no_text_raises_anything_but_a_user_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        read_sweep_file(path)
