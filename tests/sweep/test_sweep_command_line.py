"""A trial's command line against W&B's own agent."""

from pathlib import Path
from typing import Any

import pytest
import wandb.wandb_agent

from lit_seq.sweep.command_line import fit_arguments, substitute

VALUES: dict[str, Any] = {
    "optimizer.lr": 1e-05,
    "model.core.cell": "LSTM",
    "flag": True,
    "no_flag": False,
    "nothing": None,
    "text": "two words = three",
    "list": [1, 2.5, "x", None],
    "nested": {"inner": {"a": 1}, "b": "c"},
    "seed_everything": 3,
}
COMMANDS = [
    ["${env}", "${interpreter}", "${program}", "${args}"],
    ["lit-seq", "fit", "--config", "base.yaml", "--config", "${args_json_file}"],
    ["lit-seq", "fit", "${args_no_equals}"],
    ["lit-seq", "fit", "${args_no_hyphens}"],
    ["lit-seq", "fit", "${args_no_boolean_flags}"],
    ["lit-seq", "fit", "${args_json}"],
    ["lit-seq", "fit", "--data.path=${envvar:LIT_SEQ_A}/${envvar:LIT_SEQ_B}", "${envvar:LIT_SEQ_A}", "$HOME"],
]


@pytest.fixture
def agent_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what W&B's agent would start for a command and values: its own code, up to the start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    monkeypatch.setenv("LIT_SEQ_A", "/data")
    monkeypatch.setenv("LIT_SEQ_B", "books")
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_DIR"):
        monkeypatch.setenv(name, "")  # the agent sets them, and monkeypatch takes them back
    started: list[list[str]] = []

    class Started:
        def __init__(self, command: list[str], **_: Any) -> None:
            started.append(command)

    monkeypatch.setattr(wandb.wandb_agent, "AgentProcess", Started)

    def run(command: list[str], values: dict[str, Any]) -> list[str]:
        agent = wandb.wandb_agent.Agent.__new__(wandb.wandb_agent.Agent)
        agent._sweep_command, agent._function, agent._in_jupyter = list(command), None, False
        agent._forward_signals, agent._run_processes = False, {}
        # The server hands values over in alphabetical order.
        arguments = {key: {"value": value} for key, value in sorted(values.items())}
        agent._command_run({"run_id": "r1", "program": "train.py", "args": arguments})
        return started.pop()

    return run


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1])
def test_substitution_is_that_of_wandbs_agent(agent_runs: Any, command: list[str]) -> None:
    theirs = agent_runs(command, VALUES)
    file = next((Path(word) for word in theirs if word.endswith("config-r1.json")), Path("unused"))
    assert substitute(command, "train.py", VALUES, file) == theirs
    if file.name != "unused":
        assert file.read_text() == substitute(["${args_json}"], None, VALUES, file)[0]


@pytest.mark.parametrize(
    "head",
    [
        ["lit-seq"],
        ["${env}", "lit-seq"],
        ["/opt/v/bin/lit-seq"],
        ["${program}"],
        ["${interpreter}", "-m", "lit_seq"],
        ["${env}", "${interpreter}", "-m", "lit_seq"],
        ["/usr/bin/python3.12", "-m", "lit_seq"],
    ],
    ids=" ".join,
)
def test_lit_seq_is_recognised(head: list[str]) -> None:
    found = fit_arguments([*head, "fit", "${args}"], "lit-seq", {"a": 1}, Path("a.json"), "x.yaml")
    assert found == ["fit", "--a=1"]
