"""`lit-seq agent` beside `wandb agent`: the same runs, trained as packs."""

import math
import signal
import time
from collections.abc import Callable

import pytest
from server_sweeps import Sweep
from test_wandb_sweeps import create
from wandb_workplace import BASE

SWEEP = {
    "project": "packs",
    "method": "grid",
    "metric": {"name": "val/loss", "goal": "minimize"},
    "command": ["${env}", "lit-seq", "fit", "--config", "base.yaml", "--config", "${args_json_file}"],
}


def slow(workplace, seconds: float, steps: int, interval: int) -> None:
    """Let runs last about `steps` times `seconds`, with a validation each `interval` steps."""
    arguments = {**BASE["data"]["init_args"], "seconds": seconds}
    data = {"class_path": "wandb_pause.SlowAdding", "init_args": arguments}
    trainer = {"max_steps": steps, "val_check_interval": interval, "log_every_n_steps": interval}
    workplace.write("base.yaml", {**BASE, "data": data, "trainer": trainer})
    workplace.environment["WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL"] = "0.2"


def path(sweep: Sweep) -> str:
    return f"team/{sweep.project}/{sweep.id}"


def agent(workplace, sweep: Sweep, *options: str, code: int = 0) -> str:
    """Run `lit-seq agent` to its end; return what it prints."""
    done = workplace.run("lit-seq", "agent", path(sweep), *options, seconds=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def wait(moment: Callable[[], bool], process) -> None:
    deadline = time.monotonic() + 300
    while not moment():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def held_until_stopped(workplace, server, sweep: Sweep, *command: str, code: int = 0) -> str:
    """Run an agent to its end, the second run held until it is stopped; return what it prints."""
    process = workplace.start(*command)
    try:
        wait(lambda: len(sweep.runs) > 1, process)
        (hold := workplace.folder / "hold").touch()
        wait(lambda: server.runs[sweep.runs[1]].state == "finished", process)
        hold.unlink()
        printed, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == code, printed + errors
    return printed


def check_mirrored(workplace, run) -> None:
    """Check that W&B holds what the folder holds, steps never going back."""
    steps = [row["_step"] for row in run.history]
    assert steps == sorted(set(steps))
    rows = workplace.metrics(run.id)
    assert run.metric("val/loss") == {s: row["val/loss"] for s, row in rows.items() if "val/loss" in row}
    assert workplace.status(run.id)["wandb_run_id"] == run.id


@pytest.mark.slow
def test_hyperband_stops_a_run_of_a_pack_as_it_stops_one_of_wandb_agent(workplace, server):
    slow(workplace, 0.05, 240, 10)
    halving = {"early_terminate": {"type": "hyperband", "min_iter": 2}}
    sweeps = []
    for rates in ([0.01, 1e-7], [0.01, 1e-7, -1.0]):
        rate = {"optimizer": {"parameters": {"lr": {"values": rates}}}}
        parameters = {**rate, "trainer.precision": {"value": "64-true"}}
        workplace.write("sweep.yaml", {**SWEEP, **halving, "parameters": parameters})
        sweeps.append(create(workplace, server, "sweep.yaml"))
    alone, packed = sweeps
    held_until_stopped(workplace, server, alone, "wandb", "agent", path(alone))
    printed = held_until_stopped(workplace, server, packed, "lit-seq", "agent", path(packed), code=1)

    assert "A pack of 3: " in printed
    assert len(packed.agents) == 16
    for sweep in sweeps:
        good, bad, *wrong = (server.runs[name] for name in sweep.runs)
        assert [bad.stopped, good.stopped] == [True, False]
        for run, state in ((good, "finished"), (bad, "stopped")):
            assert (run.state, run.exit_code, run.sweep) == ("finished", 0, sweep.id)
            assert workplace.status(run.id)["state"] == state
            check_mirrored(workplace, run)
        assert len(good.metric("val/loss")) == 24
        assert 2 <= len(bad.metric("val/loss")) < 24
        assert "stopped" in workplace.status(bad.id)["reason"]
        for run in wrong:
            assert (run.state, workplace.status(run.id)["state"]) == ("failed", "failed")
            assert f"{run.id} failed: Invalid learning rate" in printed
    for one, other in zip(alone.runs, packed.runs, strict=False):
        one, other = server.runs[one], server.runs[other]
        assert other.values == one.values
        for name in ("train/loss", "val/loss", "train/gradient_norm"):
            theirs, ours = one.metric(name), other.metric(name)
            common = theirs.keys() & ours.keys()
            assert len(common) >= 2
            assert [ours[step] for step in common] == pytest.approx([theirs[s] for s in common], rel=1e-8)


@pytest.mark.slow
def test_a_preempted_pack_is_handed_out_again_and_goes_on(workplace, server):
    slow(workplace, 0.04, 160, 10)
    rate = {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1}
    bayes = {"method": "bayes", "run_cap": 4, "parameters": {"optimizer.lr": rate}}
    workplace.write("sweep.yaml", {**SWEEP, **bayes})
    sweep = create(workplace, server, "sweep.yaml")
    (hold := workplace.folder / "hold").touch()
    first = workplace.start("lit-seq", "agent", path(sweep), "--pack", "3", "--count", "3")
    try:
        wait(lambda: sum(len(run.history) > 3 for run in server.runs.values()) == 3, first)
        button = server.runs[sweep.runs[1]]
        button.stopped = True
        wait(lambda: button.state == "finished", first)
        first.send_signal(signal.SIGTERM)
        printed, errors = first.communicate(timeout=200)
    finally:
        first.kill()
    hold.unlink()
    assert first.returncode == 130, printed + errors
    assert "lit-seq agent team/packs/" in errors
    others = [server.runs[name] for name in (sweep.runs[0], sweep.runs[2])]
    assert [run.state for run in others] == ["preempted", "preempted"]
    assert sorted(sweep.requeued) == sorted(run.id for run in others)
    assert all(0 < workplace.status(run.id)["step"] < 160 for run in others)

    again = agent(workplace, sweep, "--pack", "3")

    assert "A pack of 3: " in again
    assert len(sweep.runs) == len(server.runs) == 4
    assert (workplace.status(button.id)["state"], button.exit_code) == ("stopped", 0)
    new = server.runs[sweep.runs[3]]
    for run in (*others, new):
        assert (run.state, run.exit_code, workplace.status(run.id)["step"]) == ("finished", 0, 160)
        assert sorted(run.metric("val/loss")) == list(range(9, 160, 10))
        check_mirrored(workplace, run)
    # What is drawn last lies about the best that had finished.
    known, drawn = (run.values["optimizer.lr"] for run in (button, new))
    assert abs(math.log(drawn / known)) <= math.log(1e4) / 10 + 1e-9


REFUSED = [
    pytest.param(
        {},
        ("agent", "team/packs/nosuch"),
        "does not give the sweep team/packs/nosuch (Sweep team/packs/nosuch not found)",
        id="no-such-sweep",
    ),
    pytest.param(
        {"WANDB_API_KEY": "b" * 40},
        ("agent", "team/packs/nosuch"),
        "invalid API key",
        id="wrong-key",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        {"WANDB_API_KEY": ""},
        ("agent", "team/packs/nosuch"),
        "API key",
        id="no-login",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        {"WANDB_MODE": "offline"}, ("agent", "a/b/c"), "WANDB_MODE", id="offline", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("environment", "command", "reason"), REFUSED)
def test_what_an_agent_cannot_work_for_is_one_sentence(workplace, server, environment, command, reason):
    workplace.environment |= environment
    done = workplace.run("lit-seq", *command)
    assert done.returncode == 2, done.stderr
    (said,) = done.stderr.splitlines()
    assert said.startswith("lit-seq: ")
    assert reason in said
    assert not (workplace.folder / "runs").exists()
    assert server.agents == {}


@pytest.mark.slow
def test_a_sweep_that_starts_something_else_is_refused(workplace, server):
    parameters = {"seed_everything": {"values": [1]}}
    for command, reason in (
        (["python", "evil.py", "${args}"], "must start lit-seq fit"),
        (None, "has no command"),
    ):
        content = {**SWEEP, "parameters": parameters, "program": "train.py", "command": command}
        workplace.write("sweep.yaml", {key: value for key, value in content.items() if value})
        sweep = create(workplace, server, "sweep.yaml")
        done = workplace.run("lit-seq", "agent", path(sweep))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert reason in done.stderr
        assert sweep.agents == []
