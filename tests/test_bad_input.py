"""Wrong input of every kind ends in one sentence and exit code 2, and nothing is left behind."""

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lit_seq.cells import Cell
from lit_seq.cli import main
from lit_seq.cores import Core
from lit_seq.errors import UserError
from lit_seq.explanation import ROOTS, _parameters
from lit_seq.run_folder import Status
from lit_seq.sweep.file import read_sweep_file
from lit_seq.sweep.rehearsal import rehearse
from lit_seq.sweep.search import Search

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / "docs"))
import build  # noqa: E402

EXAMPLES = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
COMMANDS = sorted({entry.command for page in build.pages() for entry in page.entries if entry.command})
NUMBERS = [-1, 0, 1, 2, 3, 7, 50, 0.5, -0.5, 1.5, 1e-3]
WORDS = ["", "abc", "relu", "LSTM", "nan", "inf", "-inf", "null", "0x1", "1e400", "☃", "--name"]
VALUES = [*NUMBERS, *WORDS, None, True, [], [0], [1, 2], {}, {"a": 1}]


@pytest.mark.slow
def test_the_table_of_bad_input_is_what_users_see() -> None:
    """In a process of its own: what may be named there are not the classes of tests."""
    command = [sys.executable, str(REPOSITORY / "docs" / "bad_input.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    page = (REPOSITORY / "docs" / "bad-input.md").read_text(encoding="utf-8")
    assert sum(line.startswith("| ") for line in page.splitlines()) >= 60


def class_of(base: type, name: str) -> type:
    found = [child for child in base.__subclasses__() if child.__name__ == name]
    return found[0] if found else next(filter(None, (class_of(c, name) for c in base.__subclasses__())), None)


def options(command: str) -> list[str]:
    """Return the options of a command's classes, and some of the trainer."""
    words = shlex.split(command)[2:]
    given = dict(zip(words[::2], words[1::2], strict=True))
    bases = {f"--{name}": base for name, base in ROOTS.items()} | {
        "--model.core": Core,
        "--model.core.cell": Cell,
    }
    found = ["--trainer.gradient_clip_val", "--trainer.accumulate_grad_batches", "--trainer.precision"]
    found += ["--seed_everything", "--checkpoint.every_seconds", "--checkpoint.monitor", "--optimizer.lr"]
    for key, base in bases.items():
        if key in given and (kind := class_of(base, given[key])):
            found += [f"{key}.{name}" for name in _parameters(kind)]
    return sorted({*found} - {"--data.num_workers"})


@st.composite
def changed_commands(draw: st.DrawFn) -> list[str]:
    """Draw a command of the documentation with one or two options changed, cut to a step."""
    command = draw(st.sampled_from(COMMANDS))
    words = shlex.split(command)[2:]
    given: dict[str, Any] = dict(zip(words[::2], words[1::2], strict=True))
    given |= {"--trainer.max_steps": 1, "--trainer.limit_val_batches": 1}
    given |= {"--trainer.enable_progress_bar": "false", "--wandb.mode": "disabled"}
    given.pop("--trainer.val_check_interval", None)
    for _ in range(draw(st.integers(1, 2))):
        given[draw(st.sampled_from(options(command)))] = draw(st.sampled_from(VALUES))
    return [f"{key}={value}" for key, value in given.items()]


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with contextlib.chdir(folder):
        yield


@pytest.mark.slow
@settings(EXAMPLES, max_examples=60)
@given(changed_commands())
def test_no_command_line_ends_in_a_traceback(tmp_path: Path, arguments: list[str]) -> None:
    words = io.StringIO()
    with inside(tmp_path / "place"), contextlib.redirect_stderr(words):
        code = main(["fit", *arguments, "--runs_dir=runs", "--name=run"])
        event(f"exit code {code}")
        assert "Traceback" not in words.getvalue()
        told = [line for line in words.getvalue().splitlines() if line.startswith("lit-seq: ")]
        if code == 2 and Path("runs/run").exists():
            # Seen in the first batch only: the run says so.
            assert Status.read(Path("runs/run")).state == "failed"
        elif code == 2:
            assert len(told) == 1
            assert list(Path().rglob("*")) in ([], [Path("runs")])
        elif code == 1:
            assert Status.read(Path("runs/run")).state == "diverged"
        else:
            assert code == 0
            assert Status.read(Path("runs/run")).state in ("finished", "stopped")


@st.composite
def changed_sweeps(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a sweep file of ours in which something was replaced, removed or added, at any depth."""
    paths = [*REPOSITORY.glob("sweeps/*.yaml"), *REPOSITORY.glob("sweeps/full/*.yaml")]
    content = yaml.safe_load(draw(st.sampled_from(sorted(paths))).read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(1, 3))):
        place = content
        while True:
            if not isinstance(place, dict | list) or not place:
                break
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()):
                place[key] = draw(st.sampled_from(VALUES))
            elif draw(st.booleans()) or isinstance(place, list):
                del place[key]
            else:
                place[f"{key}x"] = place.pop(key)
            break
    return content


@pytest.mark.slow
@settings(EXAMPLES, max_examples=150)
@given(changed_sweeps())
def test_sweep_files_are_taken_whole_or_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    sentence = None
    try:
        rehearse(tmp_path / "runs" / "sweep", Search(read_sweep_file(path)), seed=0)
    except UserError as error:
        sentence = str(error)
    event("refused" if sentence else "taken")
    assert sentence is None or ("\n" not in sentence and sentence.endswith((".", "?")))
    assert os.listdir(tmp_path) == ["sweep.yaml"]
