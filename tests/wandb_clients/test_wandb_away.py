"""A W&B server that goes away while a run trains: it holds nothing up, and no row is lost."""

import re
import shlex
import time

import pytest
from test_wandb_agent import slow, wait


@pytest.mark.slow
def test_a_server_that_goes_away_is_not_waited_for(workplace, server):
    slow(workplace, 0.05, 700, 10)
    workplace.environment["WANDB_FINISH_TIMEOUT"] = "3"
    process = workplace.start("lit-seq", "fit", "--config", "base.yaml", "--name", "one")

    def rows() -> int:
        return sum(len(run.history) for run in server.runs.values())

    try:
        wait(lambda: rows() > 2, process)
        server.away = True
        time.sleep(0.5)
        arrived, step = rows(), workplace.status()["step"]
        wait(lambda: workplace.status()["step"] > step + 30, process)
        assert rows() == arrived
        server.away = False
        wait(lambda: rows() > arrived, process)
        server.away = True
        _, errors = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    (run,) = server.runs.values()
    assert run.state == "running"
    assert workplace.status()["state"] == "finished"
    (told,) = re.findall(r"send them by:  (wandb sync .*)", errors)

    server.away = False
    synced = workplace.run(*shlex.split(told))

    assert synced.returncode == 0, synced.stderr
    assert (run.state, run.exit_code) == ("finished", 0)
    # W&B's client sends what had arrived once more: what counts is that nothing is missing or altered.
    ours = workplace.metrics()
    for name in ("train/loss", "val/loss"):
        assert run.metric(name) == {step: row[name] for step, row in ours.items() if name in row}
