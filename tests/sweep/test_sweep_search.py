"""Which trials a sweep consists of."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_seq.errors import UserError
from lit_seq.sweep.file import read_sweep_file
from lit_seq.sweep.search import Search, dotted
from lit_seq.sweep.storage import sqlite_url
from lit_seq.sweep.study import Study, Terms

TERMS = Terms(seed=3, lease=180.0, salt="salt")


def search_of(folder: Path, method: str, parameters: dict[str, Any], **more: Any) -> Search:
    content = {"method": method, "command": ["lit-seq", "fit", "${args}"], "parameters": parameters, **more}
    (folder / "s.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return Search(read_sweep_file(folder / "s.yaml"))


def trials(search: Search, seed: int = 0) -> list[dict[str, Any]]:
    return [dotted(search.values(point)) for point in search.points(seed)]


MIXED = {
    "b": {"values": [1, 2]},
    "a": {"values": ["x", None, True]},
    "n": {"parameters": {"d": {"value": 5}, "c": {"min": 3, "max": 4}}},
}


def test_grid_order_is_that_of_wandb(tmp_path: Path) -> None:
    # wandb/sweeps, grid_search.py: itertools.product over parameters sorted by name.
    expected = [
        {"a": a, "b": b, "n.c": c, "n.d": 5}
        for a, b, c in itertools.product(["x", None, True], [1, 2], [3, 4])
    ]
    assert trials(search_of(tmp_path, "grid", MIXED)) == expected


def test_values_come_nested_as_the_agent_gets_them(tmp_path: Path) -> None:
    search = search_of(tmp_path, "grid", MIXED)
    assert search.values(next(search.points(0))) == {"a": "x", "b": 1, "n": {"c": 3, "d": 5}}


def test_grid_runs_equal_values_once(tmp_path: Path) -> None:
    values = [1, 1.0, True, "1", [1], 1, 2.5]
    found = [trial["a"] for trial in trials(search_of(tmp_path, "grid", {"a": {"values": values}}))]
    assert [repr(value) for value in found] == ["1", "True", "'1'", "[1]", "2.5"]


def test_grid_of_quantised_values_ends_below_max(tmp_path: Path) -> None:
    parameters = {
        "w": {"distribution": "q_uniform", "min": 0, "max": 10, "q": 5},
        "f": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1},
    }
    found = trials(search_of(tmp_path, "grid", parameters))
    assert [trial["f"] for trial in found[::2]] == [0.0, 0.1, 0.2]
    assert [trial["w"] for trial in found[:2]] == [0, 5]


def test_run_cap_cuts_a_grid(tmp_path: Path) -> None:
    search = search_of(tmp_path, "grid", MIXED, run_cap=5)
    assert trials(search) == trials(search_of(tmp_path, "grid", MIXED))[:5]
    assert (search.size, search.grid_size) == (5, 12)
    assert "3 × 2 × 2 = 12 trials, of which run_cap lets 5 run" in search.description()


def test_too_large_a_grid_is_refused_unless_capped(tmp_path: Path) -> None:
    parameters = {name: {"min": 1, "max": 100} for name in "abc"}
    with pytest.raises(UserError, match="1,000,000 trials"):
        search_of(tmp_path, "grid", parameters)
    assert len(trials(search_of(tmp_path, "grid", parameters, run_cap=7))) == 7


RANDOM = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
    "cell": {"values": ["a", "b"]},
}


def test_random_is_a_function_of_file_and_seed(tmp_path: Path) -> None:
    first = trials(search_of(tmp_path, "random", RANDOM, run_cap=6))
    assert first == trials(search_of(tmp_path, "random", RANDOM, run_cap=6))
    assert first == trials(search_of(tmp_path, "random", RANDOM, run_cap=20))[:6]
    assert first != trials(search_of(tmp_path, "random", RANDOM, run_cap=6), seed=1)
    assert len({trial["lr"] for trial in first}) == 6


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_study_hands_out_these_trials_in_this_order(tmp_path: Path, method: str) -> None:
    parameters = MIXED if method == "grid" else RANDOM
    search = search_of(tmp_path, method, parameters, run_cap=4)
    url = sqlite_url(tmp_path)
    Study.create(url, "s", search, TERMS)
    study = Study(url, "s", search)
    attempts = study.claim(study.waiting(2))
    study = Study(url, "s", search)  # as another process sees it
    attempts += study.claim(study.waiting(3))
    assert [attempt.number for attempt in attempts] == [0, 1, 2, 3]
    assert [dotted(attempt.values) for attempt in attempts] == trials(search, seed=3)


def test_bayes_moves_to_where_the_metric_is_good(tmp_path: Path) -> None:
    # The distance of log10(lr) from -1 (three quarters along the range), counted in decades.
    search = search_of(tmp_path, "bayes", RANDOM, run_cap=40, metric={"name": "val/loss"})
    url = sqlite_url(tmp_path)
    Study.create(url, "s", search, TERMS)
    study = Study(url, "s", search)
    distances = []
    while (attempt := study.suggest()) is not None:
        distances.append(abs(math.log10(attempt.values["lr"]) + 1) + (attempt.values["cell"] == "a"))
        study.end(attempt.handle, "finished", distances[-1])
    assert len(distances) == 40
    # Uniform choice has mean 1.75: cell "a" costs half a decade on average, the log-rate 1.25.
    assert sum(distances[20:]) / 20 < 1.2


def test_bayes_keeps_off_what_diverges(tmp_path: Path) -> None:
    search = search_of(tmp_path, "bayes", RANDOM, run_cap=60, metric={"name": "val/loss"})
    url = sqlite_url(tmp_path)
    Study.create(url, "s", search, TERMS)
    study = Study(url, "s", search)
    lrs = []
    while (attempt := study.suggest()) is not None:
        lrs.append(attempt.values["lr"])
        diverges = lrs[-1] > 0.01
        study.end(attempt.handle, "diverged" if diverges else "finished", None if diverges else 1.0)

    assert sum(lr > 0.01 for lr in lrs[30:]) <= 9


def test_wrong_storages_are_one_sentence(tmp_path: Path) -> None:
    search = search_of(tmp_path, "grid", MIXED)
    for url in ("nonsense", "mysterydb://user:secret@host/x", f"sqlite:///{tmp_path}/no/such/folder/s.db"):
        with pytest.raises(UserError) as raised:
            Study.create(url, "s", search, TERMS)
        assert "\n" not in str(raised.value)
        assert "secret" not in str(raised.value)
    Study.create(sqlite_url(tmp_path), "s", search, TERMS)
    with pytest.raises(UserError, match="holds a sweep 's' already"):
        Study.create(sqlite_url(tmp_path), "s", search, TERMS)
    with pytest.raises(UserError, match="holds no sweep 't'"):
        Study(sqlite_url(tmp_path), "t", search)
