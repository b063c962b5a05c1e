"""`lit-seq sample`: let a model of text write."""

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add `sample` to the command line."""
    parser = subparsers.add_parser("sample", help="let a model of text write", description=__doc__)
    parser.add_argument(
        "--ckpt",
        required=True,
        help="checkpoint of a model of text, or wandb:ENTITY/PROJECT/model-RUN_ID; its data is not needed",
    )
    parser.add_argument(
        "--weights_only",
        choices=["true", "false"],
        default="true",
        help="false reads a checkpoint that holds Python objects, whose code runs: if you trust it (true)",
    )
    parser.add_argument("--prime", default="\n", help="text to go on from (default: a line break)")
    parser.add_argument("--length", type=int, default=400, help="characters, bytes or words to write (400)")
    parser.add_argument(
        "--temperature", type=float, default=0.8, help="0 is the likeliest text, 1 the model (0.8)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random draws (0)")


def run(arguments: argparse.Namespace) -> int:
    """Print prime and text."""
    import torch

    from lit_seq.checkpoint_file import load_model
    from lit_seq.topologies import TextModel
    from lit_seq.training.wandb_artifacts import PREFIX, best_checkpoint

    kept = arguments.ckpt.startswith(PREFIX)
    path = best_checkpoint(arguments.ckpt, Path("runs")) if kept else Path(arguments.ckpt)
    model = load_model(path, TextModel, arguments.weights_only == "false")
    assert isinstance(model, TextModel)
    generator = torch.Generator().manual_seed(arguments.seed)
    print(arguments.prime + model.sample(arguments.prime, arguments.length, arguments.temperature, generator))
    return 0
