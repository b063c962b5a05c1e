"""A study whose trials several drivers take, hold by leases, and lose."""

import sqlite3
import threading
from collections import Counter
from pathlib import Path

import optuna
import pytest
import yaml
from sweep_postgres import PASSWORD

from lit_seq.errors import UserError
from lit_seq.sweep import storage
from lit_seq.sweep.file import read_sweep_file
from lit_seq.sweep.search import Search, dotted
from lit_seq.sweep.study import Study, Terms

TERMS = Terms(seed=3, lease=5.0, salt="salt")


def search_of(folder: Path, method: str, count: int, **more) -> Search:
    values = {"values": list(range(count))} if method == "grid" else {"min": 0.0, "max": 1.0}
    content = {
        "method": method,
        "command": ["lit-seq", "fit", "${args}"],
        "parameters": {"lr": values},
        **({} if method == "grid" else {"run_cap": count}),
        **more,
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(content))
    return Search(read_sweep_file(folder / "s.yaml"))


def states(url: str, name: str) -> Counter:
    trials = optuna.load_study(study_name=name, storage=storage.open_storage(url)).trials
    return Counter((trial.user_attrs["number"], trial.state.name) for trial in trials)


def test_a_study_is_laid_down_whole_or_not_at_all(tmp_path, monkeypatch):
    search, url = search_of(tmp_path, "grid", 3), storage.sqlite_url(tmp_path)

    def interrupted(seed):
        yield {"lr": "0"}
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search, "points", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Study.create(url, "s", search, TERMS)
    with pytest.raises(UserError, match="holds no sweep 's'"):
        Study(url, "s", search)
    assert Study.create(url, "s", search, TERMS)
    trials = optuna.load_study(study_name="s", storage=url).trials
    assert [(trial.number, trial.state.name, trial.params) for trial in trials] == [
        (number, "WAITING", {"lr": str(number)}) for number in range(3)
    ]


def test_what_was_stopped_waits_again_and_what_failed_does_when_asked(tmp_path):
    search, url = search_of(tmp_path, "random", 4), storage.sqlite_url(tmp_path)
    Study.create(url, "s", search, TERMS)
    study = Study(url, "s", search)
    finished, failed, stopped, running = study.claim(study.waiting(9))
    assert [dotted(one.values) for one in (finished, failed)] == [
        dotted(search.values(point)) for point in list(search.points(3))[:2]
    ]
    assert study.end(finished.handle, "finished", 0.5)
    assert study.end(failed.handle, "failed", None)
    study.release([stopped.handle])
    assert study.waiting(9) == [stopped]
    study = Study(url, "s", search)  # as the driver that follows a killed one sees it
    assert study.hand_on() == 1
    assert study.waiting(9) == [stopped, running]
    for _ in range(2):
        study.retry()
    assert [(one.number, one.values) for one in study.waiting(9)] == [
        (one.number, one.values) for one in (stopped, running, failed)
    ]
    assert study.counts()[:2] == (3, 0)


def test_what_bayes_suggested_is_tried_again_as_it_was(tmp_path):
    search, url = search_of(tmp_path, "bayes", 3, metric={"name": "val/loss"}), storage.sqlite_url(tmp_path)
    Study.create(url, "s", search, TERMS)
    study = Study(url, "s", search)
    stopped, failed = study.suggest(), study.suggest()
    assert study.end(failed.handle, "failed", None)
    study.release([stopped.handle])
    study.retry()
    assert study.counts()[:2] == (3, 0)
    study = Study(url, "s", search)
    again = [study.suggest() for _ in range(3)]
    assert study.suggest() is None
    assert [(one.number, one.values) for one in again[:2]] == [
        (one.number, one.values) for one in (stopped, failed)
    ]
    assert again[2].number == 2
    assert len({one.values["lr"] for one in again}) == 3


def test_a_study_of_another_file_is_refused(tmp_path):
    search, url = search_of(tmp_path, "grid", 3), storage.sqlite_url(tmp_path)
    Study.create(url, "s", search, TERMS)
    with pytest.raises(UserError, match="another sweep 's'"):
        Study(url, "s", search_of(tmp_path, "grid", 4))


def test_a_storage_that_is_busy_is_told(tmp_path, monkeypatch):
    search, url = search_of(tmp_path, "grid", 3), f"sqlite:///{tmp_path}/study.db?timeout=0.1"
    Study.create(url, "s", search, TERMS)
    study = Study(url, "s", search)
    with sqlite3.connect(tmp_path / "study.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(storage.StorageAway, match="database is locked"):
            study.claim(study.waiting(1))
    assert len(study.claim(study.waiting(1))) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3:cr@t@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("--storage=postgresql+psycopg://me:p@host/db", "--storage=postgresql+psycopg://me:***@host/db"),
        ("postgresql://host/db?user=me&password=p&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("postgresql:/me:p@host", "postgresql:/me:***@host"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("sqlite:///a/b@c.db", "sqlite:///a/b@c.db"),
    ],
)
def test_passwords_are_hidden(text, shown):
    assert storage.without_password(text) == shown


@pytest.mark.slow
def test_machines_share_out_trials(postgres, tmp_path):
    search = search_of(tmp_path, "grid", 40)
    made = in_threads(6, lambda _: Study.create(postgres.url, "shared", search, TERMS))
    assert sorted(made) == [False] * 5 + [True]

    def work(_) -> list[int]:
        study, mine = Study(postgres.url, "shared", search), []
        while waiting := study.waiting(3):
            for attempt in study.claim(waiting):
                mine.append(attempt.number)
                assert study.end(attempt.handle, "finished", 1.0)
        return mine

    taken = [number for mine in in_threads(6, work) for number in mine]
    assert sorted(taken) == list(range(40))
    assert states(postgres.url, "shared") == {(number, "COMPLETE"): 1 for number in range(40)}


@pytest.mark.slow
def test_bayes_is_shared(postgres, tmp_path):
    search = search_of(tmp_path, "bayes", 24, metric={"name": "val/loss"})
    Study.create(postgres.url, "bayes", search, TERMS)

    def work(_) -> list[tuple[int, float]]:
        study, mine = Study(postgres.url, "bayes", search), []
        while attempt := study.suggest():
            mine.append((attempt.number, attempt.values["lr"]))
            study.end(attempt.handle, "finished", attempt.values["lr"])
        return mine

    taken = [one for mine in in_threads(3, work) for one in mine]
    assert sorted(number for number, _ in taken) == list(range(24))
    assert len({lr for _, lr in taken}) == 24


@pytest.mark.slow
def test_what_a_silent_machine_says_later_is_not_heard(postgres, tmp_path, monkeypatch):
    search = search_of(tmp_path, "grid", 3)
    Study.create(postgres.url, "silent", search, TERMS._replace(lease=600.0))
    silent, lively = (Study(postgres.url, "silent", search) for _ in range(2))
    lost = silent.claim(silent.waiting(2))
    kept = lively.claim(lively.waiting(1))
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")  # machines lie in different zones
    third = Study(postgres.url, "silent", search)
    assert third.hand_on() == 0
    with storage.open_storage(postgres.url).engine.begin() as connection:  # an hour goes by
        connection.exec_driver_sql("UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour'")
    assert lively.renew([kept[0].handle]) == set()
    assert sorted(in_threads(4, lambda _: Study(postgres.url, "silent", search).hand_on())) == [0, 0, 0, 2]
    again = third.claim(third.waiting(9))
    assert [(one.number, one.values) for one in again] == [(one.number, one.values) for one in lost]
    assert silent.renew([one.handle for one in lost]) == {one.handle for one in lost}
    assert not silent.end(lost[0].handle, "finished", 0.1)
    silent.release([lost[1].handle])
    assert third.waiting(9) == []
    assert third.end(again[0].handle, "finished", 0.2)
    assert third.end(again[0].handle, "finished", 0.2)  # said twice, as the first answer was lost
    assert third.end(again[1].handle, "diverged", None)
    assert lively.end(kept[0].handle, "finished", 0.3)
    assert states(postgres.url, "silent") == {
        (0, "FAIL"): 1,
        (1, "FAIL"): 1,
        (0, "COMPLETE"): 1,
        (1, "PRUNED"): 1,
        (2, "COMPLETE"): 1,
    }


@pytest.mark.slow
def test_a_wrong_password_is_one_sentence_without_it(postgres, tmp_path):
    wrong = postgres.url.replace("cr%40t", "other")
    with pytest.raises(UserError, match="password authentication failed") as raised:
        Study.create(wrong, "s", search_of(tmp_path, "grid", 2), TERMS)
    assert "other" not in str(raised.value)
    assert PASSWORD not in str(raised.value)


def in_threads(count: int, work) -> list:
    results: list = [None] * count

    def run(index: int) -> None:
        results[index] = work(index)

    threads = [threading.Thread(target=run, args=[index]) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
