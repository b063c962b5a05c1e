"""Several machines on one sweep: each a driver with its workers, with a folder in common or its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import optuna
import pytest
import yaml
from sweep_postgres import PASSWORD, Postgres

from lit_seq.cli import main
from lit_seq.report.document import build
from lit_seq.report.plan import Plan
from lit_seq.run_folder import Status
from lit_seq.sweep.storage import open_storage

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
COUNT, STEPS = 6, 60
_PATIENCE = 600
FIT = [
    *("--model", "ManyToOne", "--model.core.hidden_size", "4", "--data", "AddingProblem"),
    *("--data.length", "6", "--data.batch_size", "4", "--data.validation_size", "8"),
    *("--data.train_batches", "10", "--trainer.max_steps", str(STEPS), "--trainer.log_every_n_steps", "2"),
    *("--checkpoint.every_steps", "5", "--wandb.mode", "disabled"),
]


class Machine:
    """A driver, whose workers are stopped and killed with it."""

    def __init__(self, home: Path, name: str, *options: str) -> None:
        self._log = home / f"{name}.log"
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lit_seq", "sweep", "sweep.yaml", "--pack", "off", *options],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])},
                stdout=log,
                stderr=log,
                cwd=home,
            )

    def signal(self, number: int) -> None:
        for process in (self.process.pid, *list(self._workers())):
            os.kill(process, number)

    def end(self, code: int = 0) -> str:
        """Wait for the command's end, and return what it has printed."""
        assert self.process.wait(_PATIENCE) == code, self._log.read_text()
        return self._log.read_text()

    def _workers(self) -> Iterator[int]:
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    yield int(path.parent.name)


class Cluster:
    """Machines, and an undisturbed sweep in runs/fast that theirs must equal."""

    def __init__(self, home: Path, postgres: Postgres) -> None:
        self.home, self.postgres = home, postgres
        self.slow = home / "slow"
        self.machines: list[Machine] = []

    def start(self, name: str, runs: str, lease: int) -> Machine:
        options = ["--storage", self.postgres.url, "--lease", str(lease), "--runs_dir", runs, "--name", name]
        self.machines.append(Machine(self.home, f"{name}{len(self.machines)}", *options))
        return self.machines[-1]

    def wait_for_steps(self, *folders: str, trials: int) -> None:
        """Wait until so many trials are on their way."""

        def on_their_way() -> int:
            paths = [path for folder in folders for path in self.home.glob(f"{folder}/trials/*/checkpoints")]
            statuses = [Status.read(path.parent) for path in paths]
            return sum(status.state == "running" and status.step >= 5 for status in statuses)

        deadline = time.monotonic() + _PATIENCE
        while on_their_way() < trials:
            assert time.monotonic() < deadline, [path.read_text() for path in self.home.glob("*.log")]
            time.sleep(0.2)

    def ended(self, name: str) -> list[int]:
        """Return the numbers of the trials that the storage has as finished."""
        trials = optuna.load_study(study_name=name, storage=open_storage(self.postgres.url)).trials
        return sorted(trial.user_attrs["number"] for trial in trials if trial.state.name == "COMPLETE")

    def check_alike(self, number: int, folder: str) -> None:
        one, other = (self.home / runs / "trials" / f"{number:04d}" for runs in ("runs/fast", folder))
        assert Status.read(other).state == "finished"
        assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()

    def check_secret(self) -> None:
        for path in self.home.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert PASSWORD.encode() not in content
                assert b"cr%40t" not in content

    def log(self, folder: str, number: int) -> str:
        return (self.home / folder / "trials" / f"{number:04d}" / "log.txt").read_text()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cluster")
    # Slow enough for all machines to be there before a trial has ended.
    slow = [
        "--trainer.callbacks+=sweep_parts.Slow",
        f"--trainer.callbacks.marker={path}/slow",
        "--trainer.callbacks.seconds=0.5",
    ]
    content = {
        "method": "grid",
        "metric": {"name": "val/loss"},
        "command": ["lit-seq", "fit", *FIT, *slow, "--config", "${args_json_file}"],
        "parameters": {"seed_everything": {"values": list(range(COUNT))}},
    }
    (path / "sweep.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.syspath_prepend(str(HERE))
        patch.setenv("OMP_NUM_THREADS", "1")
        assert main(["sweep", "sweep.yaml", "--pack", "off", "--name", "fast"]) == 0
        yield path


@pytest.fixture
def cluster(home: Path, postgres: Postgres) -> Iterator[Cluster]:
    cluster = Cluster(home, postgres)
    cluster.slow.touch()
    yield cluster
    for machine in cluster.machines:
        if machine.process.poll() is None:
            machine.signal(signal.SIGKILL)
            machine.process.wait()


def test_one_of_three_is_killed_and_one_stopped_while_they_share_a_folder(cluster: Cluster) -> None:
    killed, stopped, left = (cluster.start("common", "runs", lease=10) for _ in range(3))
    cluster.wait_for_steps("runs/common", trials=3)
    killed.signal(signal.SIGKILL)
    stopped.signal(signal.SIGSTOP)
    killed.process.wait()
    cluster.slow.unlink()
    assert "6 trials: 6 finished." in left.end()
    assert cluster.ended("common") == list(range(COUNT))

    trials = cluster.home / "runs" / "common" / "trials"
    before = {path: path.stat().st_mtime_ns for path in trials.rglob("*")}
    stopped.signal(signal.SIGCONT)
    assert "another machine has taken it over" in stopped.end()
    assert before == {path: path.stat().st_mtime_ns for path in trials.rglob("*")}
    assert cluster.ended("common") == list(range(COUNT))
    for number in range(COUNT):
        cluster.check_alike(number, "runs/common")
    logs = [cluster.log("runs/common", number) for number in range(COUNT)]
    # The two that were taken over went on from their checkpoints.
    assert sorted(log.count("parameters, in") for log in logs) == [1] * (COUNT - 2) + [2, 2]
    assert not any("no checkpoint yet" in log for log in logs)
    environment = json.loads((cluster.home / "runs" / "common" / "environment.json").read_text())
    assert len(environment["resumed"]) == 2
    cluster.check_secret()


def test_the_database_restarts_and_a_machine_with_its_own_folder_is_killed(cluster: Cluster) -> None:
    killed, left = (cluster.start("apart", runs, lease=30) for runs in ("here", "there"))
    cluster.wait_for_steps("here/apart", "there/apart", trials=2)
    cluster.postgres.stop()
    killed.signal(signal.SIGKILL)
    time.sleep(3)
    cluster.postgres.start()
    cluster.slow.unlink()
    printed = left.end()
    assert "Running trials go on" in printed
    assert "can be used again" in printed
    assert cluster.ended("apart") == list(range(COUNT))
    folders = [cluster.home / runs / "apart" for runs in ("here", "there")]
    here, there = ({int(path.name) for path in folder.glob("trials/*")} for folder in folders)
    assert here | there == set(range(COUNT))
    [twice] = here & there
    assert cluster.log("there/apart", twice).count("parameters, in") == 1  # from its beginning
    assert len({Status.read(folder / "trials" / f"{twice:04d}").wandb_run_id for folder in folders}) == 1
    for number in there:
        cluster.check_alike(number, "there/apart")
    document = build(Plan(runs=list(map(str, folders))))
    assert (document.states, document.missing) == ({"finished": COUNT}, 0)
    cluster.check_secret()


def test_a_database_that_stays_away_ends_the_command_with_its_trial_saved(cluster: Cluster) -> None:
    machine = cluster.start("away", "runs", lease=10)
    cluster.wait_for_steps("runs/away", trials=1)
    cluster.postgres.stop()
    try:
        printed = machine.end(1)
    finally:
        cluster.postgres.start()
    assert "Traceback" not in printed
    assert printed.splitlines()[-1].startswith("lit-seq: The storage postgresql://sweeper:***@")
    trials = cluster.home.glob("runs/away/trials/*")
    [saved] = [trial for trial in trials if Status.read(trial).state == "running"]
    step = Status.read(saved).step
    assert 5 <= step < STEPS
    cluster.slow.unlink()
    cluster.start("away", "runs", lease=10).end()
    assert cluster.ended("away") == list(range(COUNT))
    for number in range(COUNT):
        cluster.check_alike(number, "runs/away")
    assert "no checkpoint yet" not in cluster.log("runs/away", int(saved.name))


def test_a_database_that_is_not_there_is_one_sentence_and_nothing_is_left(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "postgresql://me:secret@127.0.0.1:1/nothing"
    assert main(["sweep", "sweep.yaml", "--runs_dir", "none", "--storage", url]) == 2
    [sentence] = capfd.readouterr().err.splitlines()
    assert "Connection refused" in sentence
    assert "secret" not in sentence
    assert not list((home / "none").iterdir())
