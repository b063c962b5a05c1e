"""Memory and waiting while a language model trains on a text of 1 GB that is streamed.

    python benchmarks/streaming.py

The text is Shakespeare's plays over and over in one file, read by characters. A process of its own encodes it
and trains an LSTM on it without workers, from a file that is not in the page cache. Memory is the largest
resident set of its life, with Python, torch and Lightning. Waiting is the time that the loader takes for a
batch, as part of it and of the step's own time, both by Lightning's profiler. The bars are 1 GB and 10 %.
"""

import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import date
from functools import partial
from pathlib import Path

import torch
from page import device_name, write

PLAYS = Path(__file__).parent.parent / "lit_seq" / "data" / "shakespeare" / "plays.txt"
SIZES = (0.01, 1.0)
"""GB of text: one beside which the memory of Python and libraries shows, and the one that counts."""

STEPS, HIDDEN = 300, 128


def measure(folder: Path) -> dict[str, float]:
    """Encode the text in `folder`, train on it, and return what that took."""
    import lightning as L
    from lightning.pytorch.profilers import SimpleProfiler

    from lit_seq.allocator import keep_freed_memory
    from lit_seq.cells import LSTM
    from lit_seq.cores import Stack
    from lit_seq.data import Text
    from lit_seq.topologies import LanguageModel

    keep_freed_memory()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    options = {"cache_dir": str(folder / "cache")}
    start = time.perf_counter()
    data = Text("text", data_files=str(folder / "book.txt"), load_options=options, streaming=True, seed=0)
    task = data.task
    encoding = time.perf_counter() - start
    for path in (folder / "cache" / "lit_seq").glob("*/train"):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
    model = LanguageModel(task, partial(Stack, hidden_size=HIDDEN, cell=LSTM))
    model.configure_optimizers = lambda: torch.optim.Adam(model.parameters())  # type: ignore[method-assign]
    profiler = SimpleProfiler()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    schedule = {"max_steps": STEPS, "limit_val_batches": 0, "enable_checkpointing": False}
    trainer = L.Trainer(accelerator="cpu", profiler=profiler, **schedule, **quiet)
    trainer.fit(model, data)
    times = profiler.recorded_durations
    waits = times["[_TrainingEpochLoop].train_dataloader_next"][10:]
    steps = times["run_training_batch"][10:]
    return {
        "encoding": encoding,
        "wait": 1000 * statistics.median(waits),
        "longest": 1000 * max(waits),
        "step": 1000 * statistics.median(steps),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    lines = [
        f"# A text that is streamed on {device_name('cpu')}",
        "",
        f"{date.today()}, Python {platform.python_version()}, torch {torch.__version__}, one thread. LSTM of"
        f" {HIDDEN}, 50 streams, chunks of 50 characters, medians of {STEPS - 10} steps."
        " `python benchmarks/streaming.py`",
        "",
        "| text GB | encoded once, s | memory GB | wait for batch, ms | longest | step alone, ms | waiting |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            plays, file = PLAYS.read_bytes(), Path(folder) / "book.txt"
            with file.open("wb") as book:
                for _ in range(round(size * 1e9 / len(plays))):
                    book.write(plays)
            run = subprocess.run([sys.executable, __file__, folder], check=True, stdout=subprocess.PIPE)
            found = json.loads(run.stdout.splitlines()[-1])
            share = found["wait"] / (found["wait"] + found["step"])
            lines.append(
                f"| {file.stat().st_size / 1e9:.2f} | {found['encoding']:.1f} | {found['memory']:.2f} |"
                f" {found['wait']:.2f} | {found['longest']:.1f} | {found['step']:.1f} | {share:.1%} |"
            )
        print(lines[-1], flush=True)
    write("streaming", "cpu", "\n".join([*lines, "", "Bars: 1 GB of memory, 10 % waiting.", ""]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1]))))
    else:
        main()
