"""What one process and two must train alike."""

import json
import random
from pathlib import Path

STEPS = 50

COMMON = [
    *("--trainer.accelerator", "cpu", "--trainer.precision", "64-true", "--trainer.log_every_n_steps", "1"),
    *("--trainer.max_steps", str(STEPS), "--wandb.mode", "disabled", "--checkpoint.every_seconds", "1000"),
    *("--trainer.enable_progress_bar", "false", "--optimizer.lr", "0.01"),
]

SMALL = ["--model.embedding_size", "5", "--model.core.hidden_size", "6"]
"""Of the topologies with one core and an embedding."""


def write_data(folder: Path) -> None:
    """Write texts, tags and translations of very different lengths."""
    draw = random.Random(0)

    def words(most: int) -> list[str]:
        return [draw.choice("abcdefg") for _ in range(draw.randint(1, most))]

    def write(name: str, rows: list[dict[str, object]]) -> None:
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    # A batch of eight leaves one for the last, in which the second process has no part.
    write("texts.jsonl", [{"text": " ".join(words(9)), "label": n % 3} for n in range(22)])
    sentences = [words(7) for _ in range(29)]
    tags = ["O", "B-X", "I-X"]
    write(
        "tags.jsonl",
        [{"tokens": one, "tags": [tags[ord(word) % 3] for word in one]} for one in sentences],
    )
    pairs = [words(6) for _ in range(27)]
    write(
        "pairs.jsonl",
        [{"source": " ".join(one), "target": " ".join([*one[::-1], "z"])} for one in pairs],
    )
    rungs = [{"trial": f"000{n}", "iteration": 2, "value": 0.0} for n in range(5)]
    write("rungs.jsonl", rungs)
    (folder / "book.txt").write_text("".join(draw.choice("abc d.") for _ in range(3000)))


def cases(folder: Path) -> dict[str, list[str]]:
    """Return the command lines of runs, less the size of a batch and the number of processes."""

    def json_data(name: str) -> list[str]:
        return ["--data.path", "json", "--data.data_files", str(folder / name)]

    fractions = ["--data.validation_fraction", "0.2", "--data.test_fraction", "0"]
    every_epoch = ["--trainer.check_val_every_n_epoch", "4"]
    generated = [
        *("--model", "ManyToOne", "--model.core.cell", "LSTM", "--model.core.hidden_size", "6"),
        *("--data", "AddingProblem", "--data.length", "9", "--data.validation_size", "21"),
    ]
    return {
        "generated, clipped by norm": [
            *(*generated, "--data.train_batches", "20", "--trainer.gradient_clip_val", "0.5"),
        ],
        "stopped early": [
            *(*generated, "--trainer.val_check_interval", "5", "--trainer.callbacks+=EarlyStopping"),
            *("--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.min_delta=10"),
            "--trainer.callbacks.patience=2",
        ],
        "stopped by hyperband": [
            *(
                *generated,
                "--trainer.val_check_interval",
                "5",
                "--hyperband.rungs",
                str(folder / "rungs.jsonl"),
            ),
            *("--hyperband.metric", "val/loss", "--hyperband.min_iter", "2"),
        ],
        "lengths, a process without a part, clipped by value": [
            *("--model", "ManyToOne", *SMALL, "--data", "TextClassification", *json_data("texts.jsonl")),
            *("--data.validation_fraction", "0.23", "--data.test_fraction", "0", *every_epoch),
            *("--trainer.gradient_clip_val", "0.02", "--trainer.gradient_clip_algorithm", "value"),
        ],
        "steps summed, gradients accumulated": [
            *("--model", "ManyToMany", *SMALL, "--data", "Tagging", *json_data("tags.jsonl"), *fractions),
            *("--model.step_gradients", "sum", "--trainer.accumulate_grad_batches", "2", *every_epoch),
        ],
        "omega": [
            *("--model", "ManyToMany", *SMALL, "--model.core.cell", "Elman", "--model.omega", "0.5"),
            *("--data", "Tagging", *json_data("tags.jsonl"), *fractions, *every_epoch),
        ],
        "streams": [
            *("--model", "LanguageModel", *SMALL, "--data", "Text", "--data.path", "text"),
            *("--data.data_files", str(folder / "book.txt"), "--data.chunk_length", "11"),
        ],
        "sequences to sequences": [
            *("--model", "EncoderDecoder", "--model.embedding_size", "5", "--model.encoder.hidden_size", "6"),
            *("--model.decoder.hidden_size", "6", "--data", "Translation", *json_data("pairs.jsonl")),
            *(*fractions, *every_epoch),
        ],
        "a series": [
            *("--model", "Forecaster", "--model.core.hidden_size", "6", "--model.paths", "4"),
            *("--data", "Sunspots", "--data.past", "20", "--data.horizon", "5"),
        ],
        "trees": [
            *("--model", "Recursive", "--model.hidden_size", "6", "--model.embedding_size", "5"),
            *("--data", "ListOps", "--data.validation_size", "9", "--data.train_batches", "25"),
        ],
    }
