"""What a sweep looks like in a terminal."""

import io
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from lit_seq.run_folder import Status
from lit_seq.sweep.display import Lines, LiveTable, time_left
from lit_seq.sweep.file import SweepFile, read_sweep_file
from lit_seq.sweep.outcome import describe_outcome
from lit_seq.sweep.search import dotted
from lit_seq.sweep.trial import Trial


@pytest.fixture
def file(tmp_path: Path) -> SweepFile:
    content = {
        "method": "grid",
        "metric": {"name": "val/loss"},
        "command": ["lit-seq", "fit", "${args}"],
        "parameters": {
            "model.core.cell": {"values": ["LSTM", "GRU"]},
            "seed_everything": {"min": 0, "max": 19},
        },
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(content))
    return read_sweep_file(tmp_path / "s.yaml")


def trial(number: int, **status: object) -> Trial:
    cell = "LSTM" if number < 20 else "GRU"
    overrides = {"model.core.cell": cell, "seed_everything": number % 20}
    return Trial(number, Path(f"{number:04d}"), Status(overrides=overrides, **status))  # type: ignore[arg-type]


def trials() -> dict[int, Trial]:
    found = [trial(number) for number in range(40)]
    found[0] = trial(0, state="finished", step=100, max_steps=100, seconds=90.5)
    found[0].best = 0.25
    found[7] = trial(7, state="failed", step=3, max_steps=100, seconds=1.25, reason="because")
    found[30] = trial(30, state="running", step=25, max_steps=100, seconds=10.0)
    return {t.number: t for t in found}


def drawn(file: SweepFile, height: int, width: int = 100) -> list[str]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system=None, width=width, height=height)
    table = LiveTable(file, workers=2, console=console)
    known = trials()
    for number in (0, 7, 30):
        table.changed(known[number], known)
    screen.seek(0)
    screen.truncate()
    with table:
        table.refresh(known, waiting=37)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", screen.getvalue())
    return [line.strip() for line in text.splitlines() if re.match(r" ?[0-9]", line)]


def test_a_line_a_trial_and_a_line_for_the_sweep(file: SweepFile) -> None:
    lines = drawn(file, height=60)
    running = next(line for line in lines if line.startswith("0030"))
    assert running.split()[3:7] == ["10", "running", "25/100", "2.5"]
    assert float(running.split()[7]) == 30
    finished = next(line for line in lines if line.startswith("0000"))
    assert finished.split()[3:] == ["0", "finished", "100/100", "0.2500", "1.1"]
    assert len({line[:4] for line in lines if line[:4].isdigit()}) == 40
    total = next(line for line in lines if line.startswith("40 trials"))
    assert "1 running, 1 finished, 1 failed, 37 waiting" in total
    # 30 s for the running trial and 90.5 s for each waiting one, two at once.
    assert "28 min 09 s left" in total


def test_a_small_screen_shows_what_runs_and_what_ended_last(file: SweepFile) -> None:
    lines = drawn(file, height=9)
    assert {line[:4] for line in lines if line[:4].isdigit()} == {"0000", "0001", "0007", "0030"}
    assert any(line.startswith("40 trials") for line in lines)


def test_a_narrow_screen_keeps_one_line_a_trial(file: SweepFile) -> None:
    assert all(len(line) <= 50 for line in drawn(file, height=60, width=50))


def test_without_a_terminal_there_is_a_line_a_change(file: SweepFile, capsys: pytest.CaptureFixture) -> None:
    known = trials()
    lines = Lines(file)
    for number in (30, 0, 7):
        lines.changed(known[number], known)
        lines.refresh(known, 3)
    assert capsys.readouterr().out.splitlines() == [
        "0030  GRU, seed_everything 10  running  from step 25",
        "0000  LSTM, seed_everything 0  finished  100/100  val/loss 0.2500  90.5 s",
        "0007  LSTM, seed_everything 7  failed  3/100  1.25 s  because",
    ]


def test_values_that_are_mappings_tell_trials_apart(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cells = [
        {"class_path": "LSTM", "init_args": {"forget_bias": 0}},
        {"class_path": "LSTM", "init_args": {"chrono": 60}},
    ]
    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump(
            {
                "method": "grid",
                "metric": {"name": "val/loss"},
                "command": ["lit-seq", "fit", "${args}"],
                "parameters": {"model.core.cell": {"values": cells}, "seed_everything": {"values": [1, 2]}},
            }
        )
    )
    file = read_sweep_file(tmp_path / "s.yaml")
    known = {}
    for number, best in enumerate((0.5, 0.25, 0.5, 0.125)):
        overrides = dotted({"model.core.cell": cells[number // 2], "seed_everything": number % 2 + 1})
        status = Status(overrides=overrides, state="finished", step=9, max_steps=9, seconds=1.0)
        known[number] = Trial(number, Path(f"{number:04d}"), status, best)
    Lines(file).changed(known[3], known)
    assert capsys.readouterr().out.startswith("0003  LSTM, chrono 60, seed_everything 2  finished")
    assert describe_outcome(list(known.values()), file)[-1] == (
        "Best val/loss: 0.3125 (mean of 2 trials), by LSTM, chrono 60."
    )


def test_time_left_is_not_guessed_from_nothing() -> None:
    assert time_left([trial(0), trial(1, state="running")], waiting=1, workers=1) is None
    assert time_left([trial(0, state="running", step=10, max_steps=40, seconds=5.0)], 1, 1) == pytest.approx(
        15 + 20
    )
