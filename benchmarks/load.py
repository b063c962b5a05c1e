"""What a sweep of a thousand trials asks of its driver, its storage and its report.

    python benchmarks/load.py [--trials 1000] [--pack 100]

A grid of rates, clipping thresholds and seeds goes through one worker that trains nothing: a stand-in that
leaves behind what a trial of 100 logged steps does (`stand_in_worker.py`). Driver, study, run folders and
reports are the real ones. The driver's processor time is split where it begins its report; memory is the
highest resident set. The report is then written once more by `lit-seq report`. The worker's memory is that
of a real one with a pack as large (Elman, hidden 4, T = 6, batch 4), which trains for 20 steps. Two last
lines ask the study alone: the time to lay it down, and to claim and end a trial in it.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, NamedTuple
from unittest.mock import patch

import yaml
from page import device_name, write

_FIT = [
    *("--model=ManyToOne", "--model.core.cell=Elman", "--model.core.hidden_size=4", "--data=AddingProblem"),
    *("--data.length=6", "--data.batch_size=4", "--data.validation_size=8", "--data.train_batches=10"),
    *("--trainer.max_steps=20", "--trainer.log_every_n_steps=1", "--wandb.mode=disabled"),
]
_WORKER = ["-m", "lit_seq.sweep.worker"]


def sweep_file(folder: Path, trials: int) -> Path:
    """Write a sweep file of so many trials."""
    seeds = -(-trials // 50)
    content = {
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "run_cap": trials,
        "command": ["lit-seq", "fit", *_FIT, "--config", "${args_json_file}"],
        "parameters": {
            "optimizer.lr": {"values": [round(0.0003 * 1.8**k, 6) for k in range(10)]},
            "trainer.gradient_clip_val": {"values": [0.1, 0.3, 1, 3, 10]},
            "seed_everything": {"values": list(range(seeds))},
        },
    }
    path = folder / "load.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def drive(arguments: list[str], result: Path) -> None:
    """Run the command line in this process, and write what it took."""
    from lit_seq.cli import main
    from lit_seq.sweep import outcome

    popen, stand_in = subprocess.Popen, Path(__file__).with_name("stand_in_worker.py")

    def start(command: list[str], **options: Any) -> Any:
        return popen([command[0], str(stand_in)] if command[1:] == _WORKER else command, **options)

    taken: dict[str, float] = {}
    write_report = outcome.write_sweep_report

    def timed(*own: Any) -> Any:
        taken["driver"] = time.process_time()
        taken["resident before the report"] = resident()
        written = write_report(*own)
        taken["report"] = time.process_time() - taken["driver"]
        return written

    with (
        patch.object(outcome, "write_sweep_report", timed),
        patch("lit_seq.sweep.pool.subprocess.Popen", start),
    ):
        code = main(arguments)
    taken["resident"] = resident()
    result.write_text(json.dumps(taken))
    sys.exit(code)


def resident() -> float:
    """Return the highest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Taken(NamedTuple):
    """What a command took: seconds of wall and processor, and its workers' highest resident set, MiB."""

    wall: float
    processor: float
    worker: float


def watched(command: list[str]) -> Taken:
    """Run a command."""
    over, highest = Event(), [0.0]

    def watch(process: int) -> None:
        while not over.wait(0.5):
            for path in Path("/proc").glob("[0-9]*/status"):
                try:
                    fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
                except OSError:
                    continue
                if int(fields["PPid"]) == process and "VmHWM" in fields:
                    highest[0] = max(highest[0], int(fields["VmHWM"].split()[0]) / 1024)

    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        watcher = Thread(target=watch, args=[process.pid])
        watcher.start()
        code = process.wait()
        over.set()
        watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with exit code {code}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(time.perf_counter() - start, processor, highest[0])


def study_alone(folder: Path, file: Path) -> tuple[float, float]:
    """Return processor time to lay a study down, and to claim and end one of its trials, in packs of 16."""
    from lit_seq.sweep.file import read_sweep_file
    from lit_seq.sweep.search import Search
    from lit_seq.sweep.storage import sqlite_url
    from lit_seq.sweep.study import Study, Terms

    search = Search(read_sweep_file(file))
    start = time.process_time()
    Study.create(sqlite_url(folder), "alone", search, Terms(0, 180.0, ""))
    laid_down = time.process_time() - start
    study = Study(sqlite_url(folder), "alone", search)
    start = time.process_time()
    while attempts := study.claim(study.waiting(128)[:16]):
        study.counts()
        for attempt in attempts:
            study.end(attempt.handle, "finished", 1.0)
    return laid_down, (time.process_time() - start) / search.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--pack", type=int, default=100)
    arguments = parser.parse_args()
    with TemporaryDirectory() as place:
        folder = Path(place)
        file, runs, result = sweep_file(folder, arguments.trials), folder / "runs", folder / "taken.json"
        sweep = ["sweep", str(file), "--runs_dir", str(runs), "--pack", str(arguments.pack), "--workers", "1"]
        sweeping = watched([sys.executable, __file__, "drive", str(result), *sweep])
        taken = json.loads(result.read_text())
        states = [json.loads(path.read_text())["state"] for path in runs.glob("load/trials/*/status.json")]
        report = watched([sys.executable, "-m", "lit_seq", "report", str(runs / "load")])
        page = (runs / "load" / "report.html").stat().st_size
        study = (runs / "load" / "study.db").stat().st_size
        laid_down, claimed = study_alone(folder, file)
        one = sweep_file(folder, arguments.pack)
        pack = ["sweep", str(one), "--runs_dir", str(runs), "--name", "pack", "--pack", str(arguments.pack)]
        packed = watched([sys.executable, "-m", "lit_seq", *pack, "--workers", "1"])
    lines = [
        f"# A sweep of {len(states)} trials on {device_name('cpu')}",
        "",
        f"{date.today()}, Python {platform.python_version()}, torch {metadata.version('torch')}, optuna "
        f"{metadata.version('optuna')}, load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores. "
        "`python benchmarks/load.py`, whose docstring says what is measured and how.",
        "",
        f"{len(states)} trials, {states.count('finished')} finished, in packs of {arguments.pack}.",
        "",
        "| what | measured | bar |",
        "|---|---|---|",
        f"| sweep without training, wall | {sweeping.wall:.0f} s | |",
        f"| driver, processor time a trial | {1000 * taken['driver'] / len(states):.0f} ms | |",
        f"| driver, resident before its report | {taken['resident before the report']:.0f} MiB | 1,000 MiB |",
        f"| driver, resident | {taken['resident']:.0f} MiB | 1,000 MiB |",
        f"| worker with a pack of {arguments.pack}, resident | {packed.worker:.0f} MiB | |",
        f"| study.db | {study / 2**20:.1f} MiB | |",
        f"| report at the sweep's end, processor time | {taken['report']:.1f} s | |",
        f"| `lit-seq report`, processor time | {report.processor:.1f} s | 30 s |",
        f"| `lit-seq report`, wall | {report.wall:.1f} s | 30 s |",
        f"| report.html | {page / 2**20:.1f} MiB | |",
        f"| study alone, processor time: laid down | {laid_down:.2f} s | |",
        f"| study alone, processor time: a trial claimed and ended | {1000 * claimed:.1f} ms | |",
    ]
    write("load", "cpu", "\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["drive"]:
        drive(sys.argv[3:], Path(sys.argv[2]))
    main()
