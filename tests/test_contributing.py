"""The examples of CONTRIBUTING.md, run as they stand."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ title=(\S+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
COMMANDS = [
    shlex.split(block.replace("\\\n", " "))
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
]


def test_there_is_an_example_for_everything():
    assert sorted(FILES) == ["my_cell.py", "my_data.py", "my_study.yaml", "my_topology.py"]
    assert len(COMMANDS) == 4


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[1] + "-" + command[2].strip("-"))
def test_example_runs(tmp_path, command):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert command[0] == "lit-seq"
    run = subprocess.run(
        [sys.executable, "-m", "lit_seq", *command[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[1]}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert list((tmp_path / "runs").rglob("last.ckpt"))
