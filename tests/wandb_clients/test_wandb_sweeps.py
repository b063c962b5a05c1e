"""The real `wandb sweep` and `wandb agent` over lit-seq's sweep files."""

import json
import re
from pathlib import Path

import pytest
import yaml
from server_sweeps import Sweep

import lit_seq
from lit_seq.configuration import parse
from lit_seq.sweep.command_line import fit_arguments

SHIPPED = sorted((Path(lit_seq.__file__).parents[1] / "sweeps").glob("*.yaml"))


def create(workplace, server, file: str) -> Sweep:
    """Run `wandb sweep FILE`."""
    created = workplace.run("wandb", "sweep", file)
    assert created.returncode == 0, created.stderr
    path = re.search(r"wandb agent (\S+)", created.stderr + created.stdout)[1]
    return server.sweeps[path.rpartition("/")[2]]


def work(workplace, sweep: Sweep, agents: int = 1) -> str:
    """Let agents run the sweep to its end; return what they print."""
    processes = [workplace.start("wandb", "agent", f"team/{sweep.project}/{sweep.id}") for _ in range(agents)]
    try:
        printed = "".join("".join(process.communicate(timeout=240)) for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * agents, printed
    return printed


def trained_config(workplace, name: str) -> dict:
    return yaml.safe_load((workplace.folder / "runs" / name / "config.yaml").read_text())


def check_arrived(workplace, run) -> None:
    """Check that W&B holds of a finished run what its folder holds."""
    assert (run.state, run.exit_code) == ("finished", 0)
    status = workplace.status(run.id)
    assert (status["state"], status["wandb_run_id"], status["step"]) == ("finished", run.id, 20)
    steps = [row["_step"] for row in run.history]
    # What the model says is first looked at after the first step.
    assert steps == sorted(set(steps)) == [0, 4, 9, 14, 19]
    rows = workplace.metrics(run.id)
    assert run.metric("val/loss") == {step: rows[step]["val/loss"] for step in (9, 19)}
    assert run.metric("train/loss") == {step: rows[step]["train/loss"] for step in steps[1:]}


@pytest.mark.slow
def test_two_agents_share_a_grid_with_its_values_in_a_json_file(workplace, server):
    workplace.write(
        "sweep.yaml",
        {
            "name": "adding",
            "project": "lit-seq",
            "method": "grid",
            "metric": {"name": "val/loss", "goal": "minimize"},
            "parameters": {
                "model.core.cell": {"values": ["Elman", "LSTM"]},
                "trainer.gradient_clip_val": {"values": [None, 1.0]},
                "seed_everything": {"value": 3},
                "optimizer": {"parameters": {"lr": {"value": 0.01}, "foreach": {"value": None}}},
            },
            "command": ["${env}", "lit-seq", "fit", "--config", "base.yaml", "--config", "${args_json_file}"],
        },
    )
    sweep = create(workplace, server, "sweep.yaml")
    printed = work(workplace, sweep, agents=2)

    assert len(server.agents) == 2
    assert len(sweep.runs) == len(server.runs) == 4, printed
    asked = set()
    for run in server.runs.values():
        check_arrived(workplace, run)
        assert (run.sweep, run.project, run.name) == (sweep.id, "lit-seq", f"adding-{run.id}")
        cell, clip = run.config["model.core.cell"], run.config["trainer.gradient_clip_val"]
        asked.add((cell, clip))
        for config in (run.config, trained_config(workplace, run.id)):
            assert (
                config["model"]["init_args"]["core"]["init_args"]["cell"]["class_path"]
                == f"lit_seq.cells.{cell}"
            )
            assert config["trainer"]["gradient_clip_val"] == clip
            assert config["seed_everything"] == 3
            assert config["optimizer"]["init_args"]["lr"] == 0.01
            assert config["optimizer"]["init_args"]["foreach"] is None
    assert asked == {("Elman", None), ("Elman", 1), ("LSTM", None), ("LSTM", 1)}
    assert {folder.name for folder in (workplace.folder / "runs").iterdir()} == set(server.runs)


@pytest.mark.slow
def test_an_agent_runs_a_random_sweep_with_its_values_as_arguments(workplace, server):
    workplace.write(
        "sweep.yaml",
        {
            "method": "random",
            "run_cap": 2,
            "parameters": {
                "model.core.cell": {"values": ["Elman", "GRU"]},
                "model.core.hidden_size": {"min": 2, "max": 5},
                "trainer.gradient_clip_val": {"value": None},
                "seed_everything": {"min": 1, "max": 9},
                "optimizer": {
                    "parameters": {
                        "lr": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-4},
                        "foreach": {"value": None},
                    }
                },
                "lr_scheduler": {
                    "parameters": {
                        "class_path": {"value": "StepLR"},
                        "init_args": {"parameters": {"step_size": {"value": 5}}},
                    }
                },
            },
            "command": ["${env}", "lit-seq", "fit", "--config", "base.yaml", "${args}"],
        },
    )
    sweep = create(workplace, server, "sweep.yaml")
    printed = work(workplace, sweep)

    assert len(sweep.runs) == len(server.runs) == 2, printed
    for run in server.runs.values():
        check_arrived(workplace, run)
        config = trained_config(workplace, run.id)
        core = config["model"]["init_args"]["core"]["init_args"]
        assert core["cell"]["class_path"] == f"lit_seq.cells.{run.config['model.core.cell']}"
        assert core["hidden_size"] == run.config["model.core.hidden_size"]
        assert config["trainer"]["gradient_clip_val"] is None
        assert config["seed_everything"] == workplace.status(run.id)["seed"] == run.config["seed_everything"]
        assert config["optimizer"]["init_args"]["lr"] == run.config["optimizer"]["lr"]
        assert config["optimizer"]["init_args"]["foreach"] is None
        assert config["lr_scheduler"]["class_path"] == "torch.optim.lr_scheduler.StepLR"
        assert config["lr_scheduler"]["init_args"]["step_size"] == 5


@pytest.mark.slow
def test_a_diverging_trial_fails_and_the_agent_goes_on(workplace, server):
    cell = {"class_path": "Elman", "init_args": {"activation": "relu", "recurrent_init": "identity"}}
    workplace.write(
        "sweep.yaml",
        {
            "method": "grid",
            "parameters": {
                "optimizer": {"value": "SGD"},
                "optimizer.lr": {"values": [1e6, 0.01]},
                "model.core.cell": {"value": cell},
            },
            "command": ["lit-seq", "fit", "--config", "base.yaml", "--config", "${args_json_file}"],
        },
    )
    sweep = create(workplace, server, "sweep.yaml")
    work(workplace, sweep)

    wild, tame = (server.runs[name] for name in sweep.runs)
    assert (wild.state, wild.exit_code) == ("failed", 1)
    assert workplace.status(wild.id)["state"] == "diverged"
    check_arrived(workplace, tame)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_client_takes_each_shipped_sweep_and_lit_seq_each_of_its_trials(workplace, server, file):
    sweep = create(workplace, server, str(file))
    points = [point for point, _ in zip(sweep.points, range(4), strict=False)]
    assert points
    for point in points:
        json_file = workplace.folder / "args.json"
        json_file.write_text(json.dumps(point))
        parse(fit_arguments(sweep.config["command"], None, point, json_file, str(file)))
