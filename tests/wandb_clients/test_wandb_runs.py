"""`lit-seq fit` and the real W&B client: online, offline, killed, refused."""

import json
import socket
import time

import pytest
from wandb_server import ENTITY, KEY, Run


def mirrored(run: Run) -> dict[int, dict[str, float]]:
    """Return what W&B holds of each step, in our terms; fail where a step repeats or goes back."""
    steps = [row["_step"] for row in run.history]
    assert steps == sorted(set(steps))
    assert steps == [row["trainer/global_step"] for row in run.history]
    ours = ("train/", "val/")
    return {
        row["_step"]: {key: value for key, value in row.items() if key.startswith(ours)}
        for row in run.history
    }


def test_an_online_run_arrives_whole(workplace, server):
    model = {"class_path": "LanguageModel", "init_args": {"core": {"init_args": {"hidden_size": 4}}}}
    (workplace.folder / "text.txt").write_text("to be or not to be, that is the question\n" * 40)
    data = {"path": "text", "data_files": "text.txt", "chunk_length": 5, "batch_size": 4}
    trainer = {"max_steps": 8, "val_check_interval": 4, "log_every_n_steps": 2}
    workplace.write(
        "base.yaml",
        {"model": model, "data": {"class_path": "Text", "init_args": data}, "trainer": trainer},
    )

    done = workplace.fit("--wandb.project", "plays", "--wandb.group", "tries", "--optimizer.lr", "0.02")

    assert done.returncode == 0, done.stderr
    (run,) = server.runs.values()
    assert run.id == workplace.status()["wandb_run_id"]
    assert (run.project, run.group, run.name) == ("plays", "tries", "one")
    assert (run.state, run.exit_code) == ("finished", 0)
    assert run.config["optimizer"]["init_args"]["lr"] == 0.02
    assert run.config["data"]["init_args"]["data_files"] == "text.txt"
    rows = mirrored(run)
    sampled = rows.pop(0)
    assert sampled == {}
    assert rows == workplace.metrics()
    assert {"train/loss", "val/loss", "val/bits_per_character"} <= set(rows[7])
    tables = [
        json.loads(content) for name, content in run.files.items() if name.startswith("media/table/samples")
    ]
    samples = [
        json.loads(line) for line in (workplace.folder / "runs/one/samples.jsonl").read_text().splitlines()
    ]
    largest = max(tables, key=lambda table: len(table["data"]))
    assert largest["columns"] == ["step", "moment", "kind", "text", "view"]
    assert [row[:4] for row in largest["data"]] == [
        [sample["step"], sample["moment"], "writing", sample["text"]] for sample in samples
    ]
    # The client sends media in tables as an artifact, and here what they are.
    assert {row[4] for row in largest["data"]} == {"Html"}
    assert [sample["moment"] for sample in samples] == ["start", "middle", "end"]
    lines = done.stderr.splitlines()
    assert [line for line in lines if "W&B" in line or "wandb" in line] == [
        f"W&B: {server.url}/{ENTITY}/plays/runs/{run.id}"
    ]
    assert done.stdout == ""


LONG = (
    *("--trainer.max_steps", "500", "--trainer.log_every_n_steps", "1", "--trainer.val_check_interval", "50"),
    *("--checkpoint.every_steps", "37"),
)
SLOWLY = ("--trainer.callbacks+=wandb_pause.Pause", "--trainer.callbacks.seconds=0.005")


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["0.1", "15"], ids=["rows-arrive-at-once", "rows-wait-in-the-client"])
def test_a_killed_online_run_goes_on_without_a_row_twice_or_lost(workplace, server, interval):
    workplace.environment["WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL"] = interval
    checkpoint = workplace.folder / "runs" / "one" / "checkpoints" / "last.ckpt"

    def arrived() -> bool:
        (*_, run) = server.runs.values() or [None]
        rows = len(run.history) if run else 0
        return checkpoint.exists() and (rows > 100 if interval == "0.1" else workplace.status()["step"] > 100)

    workplace.fit_and_kill(arrived, *LONG, *SLOWLY)
    before = workplace.status()
    (run,) = server.runs.values()
    kept = len(run.history)
    assert (kept > 100) == (interval == "0.1")
    resumed = workplace.fit(*LONG, "--trainer.callbacks=null", "--ckpt_path", "last")

    assert resumed.returncode == 0, resumed.stderr
    assert list(server.runs) == [before["wandb_run_id"]] == [workplace.status()["wandb_run_id"]]
    assert (run.state, run.exit_code) == ("finished", 0)
    assert len(run.history) == 500
    assert mirrored(run) == workplace.metrics()


@pytest.mark.slow
def test_a_killed_offline_run_is_synced_into_one(workplace, server):
    folder = workplace.folder / "runs" / "one"

    def trained(step: int) -> bool:
        return (folder / "checkpoints" / "last.ckpt").exists() and workplace.status()["step"] > step

    options = (*LONG, "--wandb.mode", "offline")
    workplace.fit_and_kill(lambda: trained(100), *options, *SLOWLY)
    workplace.fit_and_kill(lambda: trained(250), *options, "--ckpt_path", "last")
    resumed = workplace.fit(*options, "--trainer.callbacks=null", "--ckpt_path", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert server.connections == 0

    parts = sorted((folder / "wandb").glob("offline-run-*"))
    assert len(parts) == 3
    synced = workplace.run("wandb", "sync", *map(str, parts))

    assert synced.returncode == 0, synced.stderr
    (run,) = server.runs.values()
    assert run.id == workplace.status()["wandb_run_id"]
    assert (run.state, run.exit_code, run.name) == ("finished", 0, "one")
    assert run.config["trainer"]["max_steps"] == 500
    assert len(run.history) == 500
    assert mirrored(run) == workplace.metrics()


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_starts_again_as_the_same_wandb_run(workplace, server):
    workplace.environment["WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL"] = "0.1"
    options = (*LONG, "--checkpoint.every_steps", "null", "--trainer.val_check_interval", "400")

    def arrived() -> bool:
        return any(len(run.history) > 50 for run in server.runs.values())

    workplace.fit_and_kill(arrived, *options, *SLOWLY)
    again = workplace.fit(*options, "--trainer.callbacks=null", "--ckpt_path", "last")

    assert again.returncode == 0, again.stderr
    (run,) = server.runs.values()
    assert (run.state, len(run.history)) == ("finished", 500)
    assert mirrored(run) == workplace.metrics()
    with (workplace.folder / "runs" / "one" / "metrics.csv").open() as file:
        assert sum(1 for _ in file) == 1 + 500 + 2


DIVERGING = (
    *("--model.core.cell", "Elman", "--model.core.cell.activation", "relu"),
    *("--model.core.cell.recurrent_init", "identity", "--optimizer", "SGD", "--optimizer.lr", "1e6"),
)


@pytest.mark.slow
def test_a_diverging_run_fails_at_wandb(workplace, server):
    done = workplace.fit(*DIVERGING)
    assert done.returncode == 1, done.stderr
    assert workplace.status()["state"] == "diverged"
    (run,) = server.runs.values()
    assert (run.state, run.exit_code) == ("failed", 1)
    assert run.history


def test_without_a_login_nothing_is_connected(workplace, server):
    del workplace.environment["WANDB_API_KEY"]
    done = workplace.fit()
    assert done.returncode == 0, done.stderr
    assert len(list((workplace.folder / "runs" / "one" / "wandb").glob("offline-run-*"))) == 1
    assert "wandb" not in done.stderr.lower()
    assert server.connections == 0


@pytest.mark.slow
def test_wandb_login_makes_runs_go_online(workplace, server):
    del workplace.environment["WANDB_API_KEY"], workplace.environment["WANDB_BASE_URL"]
    logged_in = workplace.run("wandb", "login", "--host", server.url, KEY)
    assert logged_in.returncode == 0, logged_in.stderr
    done = workplace.fit()
    assert done.returncode == 0, done.stderr
    (run,) = server.runs.values()
    assert run.state == "finished"


def refused(workplace) -> str:
    """Run with a W&B that refuses; return what is said."""
    started = time.monotonic()
    done = workplace.fit("--wandb.mode", "online")
    assert time.monotonic() - started < 45
    assert done.returncode == 2, done.stderr
    assert not (workplace.folder / "runs" / "one").exists()
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        f"lit-seq: W&B at {workplace.environment['WANDB_BASE_URL']} does not take the run ("
    )
    assert said.endswith("--wandb.mode offline.")
    assert len(done.stderr.splitlines()) <= 2
    return said


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        pytest.param("b" * 40, "401", marks=pytest.mark.slow),
        pytest.param("short", "at least 40 characters|40\\+ characters", marks=pytest.mark.slow),
        ("", "No API key"),
    ],
)
def test_a_wrong_key_is_said_before_training(workplace, server, key, reason):
    import re

    workplace.environment["WANDB_API_KEY"] = key
    assert re.search(reason, refused(workplace))
    assert server.runs == {}


@pytest.mark.slow
@pytest.mark.parametrize("listens", [False, True], ids=["refuses", "hangs"])
def test_a_server_that_does_not_answer_is_said_before_training(workplace, listens):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        if listens:
            closed.listen()
        workplace.environment["WANDB_BASE_URL"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        refused(workplace)
