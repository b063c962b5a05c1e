"""What is secret in the environment stands in no file that a sweep leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

SECRETS = {
    name: f"do-not-write-{number}-this-anywhere"
    for number, name in enumerate(
        ["WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "MY_PASSWORD", "GITHUB_TOKEN"]
    )
}
REMOTE = "do-not-write-the-remote-either"


@pytest.mark.slow
def test_no_secret_is_written(tmp_path: Path) -> None:
    """One trial ends well, one fails with a traceback, and W&B describes the repository."""
    for words in (["init", "-q"], ["remote", "add", "origin", f"https://me:{REMOTE}@example.com/me/it.git"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "broken.py").write_text(
        "from lit_seq.cells import Elman\n\n\n"
        "class Broken(Elman):\n"
        "    def step(self, projected, state):\n"
        "        raise RuntimeError('broken')\n"
    )
    small = ["--model", "ManyToOne", "--model.core.hidden_size", "4", "--data", "AddingProblem"]
    short = ["--data.length", "8", "--trainer.max_steps", "3", "--trainer.limit_val_batches", "1"]
    sweep = {
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"model.core.cell": {"values": ["GRU", "broken.Broken"]}},
        "command": ["lit-seq", "fit", *small, *short, "--config", "${args_json_file}"],
    }
    (tmp_path / "secrets.yaml").write_text(yaml.safe_dump(sweep))
    environment = {**os.environ, **SECRETS, "WANDB_MODE": "offline", "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "lit_seq", "sweep", "secrets.yaml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1, ended.stderr
    folder = tmp_path / "runs" / "secrets"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"report.html", "study.db", "environment.json", "log.txt"} <= {path.name for path in files}
    assert any(path.suffix == ".wandb" for path in files)
    for secret in (*SECRETS.values(), REMOTE):
        found = [str(path) for path in files if secret.encode() in path.read_bytes()]
        assert found == [], f"{secret} is written"
        assert secret not in ended.stdout + ended.stderr
