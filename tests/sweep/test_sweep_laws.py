"""Each distribution of a sweep file against scipy's, which knows nothing of ours."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from lit_seq.sweep.file import read_sweep_file
from lit_seq.sweep.laws import LAWS
from lit_seq.sweep.parameters import Choices, Drawn, read_parameters
from lit_seq.sweep.search import Search, dotted

TRIALS, SEED = 4000, 0
# One in 10,000 right samples fails these; the seed is fixed, so it is the code that would be wrong.
SIGNIFICANCE = 1e-4

CONTINUOUS = {
    "uniform": ({"min": -2, "max": 3.5}, stats.uniform(-2, 5.5)),
    "log_uniform": ({"min": -3, "max": 1}, stats.loguniform(math.exp(-3), math.exp(1))),
    "log_uniform_values": ({"min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
    # 1/X is log-uniform between e^-1 and e^2.
    "inv_log_uniform": ({"min": -1, "max": 2}, stats.loguniform(math.exp(-2), math.exp(1))),
    "inv_log_uniform_values": ({"min": 0.5, "max": 8}, stats.loguniform(0.5, 8)),
    "normal": ({"mu": 1.5, "sigma": 0.5}, stats.norm(1.5, 0.5)),
    "log_normal": ({"mu": -1, "sigma": 0.7}, stats.lognorm(s=0.7, scale=math.exp(-1))),
    "beta": ({"a": 2, "b": 5}, stats.beta(2, 5)),
}
QUANTISED = {
    "q_uniform": ({"min": 0, "max": 10, "q": 2}, stats.uniform(0, 10)),
    "q_log_uniform": ({"min": 0, "max": 3, "q": 2}, stats.loguniform(1, math.exp(3))),
    "q_log_uniform_values": ({"min": 1, "max": 30, "q": 5}, stats.loguniform(1, 30)),
    "q_normal": ({"mu": 3, "sigma": 2, "q": 0.5}, stats.norm(3, 2)),
    "q_log_normal": ({"mu": 1, "sigma": 0.5}, stats.lognorm(s=0.5, scale=math.e)),
    "q_beta": ({"a": 2, "b": 2, "q": 0.1}, stats.beta(2, 2)),
}


def draw(tmp_path: Path, parameter: dict) -> list:
    """Let a whole sweep choose, so that what trials get is tested and not a function alone."""
    content = {
        "method": "random",
        "run_cap": TRIALS,
        "command": ["lit-seq", "fit", "${args}"],
        # A second parameter shows that one does not take the numbers of the other.
        "parameters": {"x": parameter, "a": {"min": 0.0, "max": 1.0}},
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    search = Search(read_sweep_file(tmp_path / "sweep.yaml"))
    values = [dotted(search.values(point)) for point in search.points(SEED)]
    assert abs(stats.spearmanr([v["x"] for v in values], [v["a"] for v in values]).statistic) < 0.06
    return [v["x"] for v in values]


def test_all_laws_are_tested() -> None:
    assert {*CONTINUOUS, *QUANTISED, "int_uniform"} == set(LAWS)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_law(tmp_path: Path, name: str) -> None:
    settings, law = CONTINUOUS[name]
    (parameter,) = read_parameters({"x": {"distribution": name, **settings}}, "test")
    for u in (1e-6, 0.01, 0.3, 0.5, 0.9, 1 - 1e-6):
        assert parameter.at(u) == pytest.approx(law.ppf(u), rel=1e-9)
    values = draw(tmp_path, {"distribution": name, **settings})
    assert stats.kstest(values, law.cdf).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_law(tmp_path: Path, name: str) -> None:
    settings, law = QUANTISED[name]
    q = settings.get("q", 1)
    values = np.array(draw(tmp_path, {"distribution": name, **settings}))
    steps = np.rint(values / q).astype(int)
    np.testing.assert_allclose(values, steps * q, rtol=1e-12)
    assert all(isinstance(value, int) == isinstance(q, int) for value in values.tolist())
    kinds, seen = np.unique(steps, return_counts=True)
    expected = TRIALS * np.array([law.cdf((k + 0.5) * q) - law.cdf((k - 0.5) * q) for k in kinds])
    common = expected >= 5
    observed, wanted = seen[common], expected[common]
    rest = [TRIALS - observed.sum() + 1e-9, TRIALS - wanted.sum() + 1e-9]
    statistic = ((observed - wanted) ** 2 / wanted).sum() + (rest[0] - rest[1]) ** 2 / max(rest[1], 1.0)
    assert stats.chi2.sf(statistic, common.sum()) > SIGNIFICANCE


def test_whole_numbers(tmp_path: Path) -> None:
    values = draw(tmp_path, {"min": -1, "max": 5})
    assert set(values) == set(range(-1, 6))
    assert stats.chisquare(np.unique(values, return_counts=True)[1]).pvalue > SIGNIFICANCE


def test_weighted_choices(tmp_path: Path) -> None:
    shares = {"LSTM": 0.5, "GRU": 0.3, "Elman": 0.2, "never": 0.0}
    values = draw(
        tmp_path,
        {"values": list(shares), "probabilities": list(shares.values())},
    )
    counts = [values.count(name) for name in shares]
    assert counts[3] == 0
    assert stats.chisquare(counts[:3], [TRIALS * share for share in (0.5, 0.3, 0.2)]).pvalue > SIGNIFICANCE


def test_equal_choices_and_constants(tmp_path: Path) -> None:
    values = draw(tmp_path, {"values": [3, 1, 2]})
    assert stats.chisquare([values.count(n) for n in (1, 2, 3)]).pvalue > SIGNIFICANCE
    (constant,) = read_parameters({"x": {"value": {"deep": [1]}}}, "test")
    assert isinstance(constant, Choices)
    assert constant.at(0.7) == {"deep": [1]}


def test_defaults_are_those_of_wandb() -> None:
    parameters = {
        "int": {"min": 1, "max": 3},
        "float": {"min": 1, "max": 3.0},
        "normal": {"distribution": "normal"},
        "beta": {"distribution": "q_beta"},
    }
    found = {
        p.name: (p.law, dict(p.settings)) for p in read_parameters(parameters, "test") if isinstance(p, Drawn)
    }
    assert found == {
        "int": ("int_uniform", {"min": 1, "max": 3}),
        "float": ("uniform", {"min": 1, "max": 3.0}),
        "normal": ("normal", {"mu": 0.0, "sigma": 1.0}),
        "beta": ("q_beta", {"a": 1.0, "b": 1.0, "q": 1}),
    }


@pytest.mark.parametrize("name", LAWS)
def test_the_ends_are_finite_and_inside(name: str) -> None:
    settings = (CONTINUOUS | QUANTISED | {"int_uniform": ({"min": 1, "max": 3}, None)})[name][0]
    (parameter,) = read_parameters({"x": {"distribution": name, **settings}}, "test")
    low, high = parameter.at(0.0), parameter.at(1.0)
    assert -math.inf < low < high < math.inf
    if (name.endswith("_values") and not name.startswith("q_")) or name in ("uniform", "int_uniform"):
        assert settings["min"] <= low < high <= settings["max"]
