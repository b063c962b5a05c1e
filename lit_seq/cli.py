"""The command `lit-seq`."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from lit_seq.allocator import keep_freed_memory
from lit_seq.errors import UserError

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

COMMANDS = {
    "sample": "lit_seq.topologies.sample_command",
    "sweep": "lit_seq.sweep.command",
    "agent": "lit_seq.agent.command",
    "status": "lit_seq.sweep.status_command",
    "report": "lit_seq.report.command",
    "list": "lit_seq.listing",
}
"""Module of each command besides training; each has `add_parser` and `run`."""

USAGE = """\
usage: lit-seq COMMAND …

  fit        train one model:                lit-seq fit --model LanguageModel --data Shakespeare
  validate, test, predict                    lit-seq test --ckpt_path runs/NAME/checkpoints/best.ckpt
  sample     let a language model write:     lit-seq sample --ckpt runs/NAME/checkpoints/best.ckpt
  sweep      train what a sweep file asks:   lit-seq sweep sweeps/quickstart.yaml
  agent      train a W&B sweep's runs:   lit-seq agent ENTITY/PROJECT/SWEEP_ID
  status     how far a sweep is:             lit-seq status runs/quickstart --watch
  report     compare runs:                   lit-seq report runs/quickstart
  list       what there is to choose from:   lit-seq list cells

`lit-seq COMMAND --help` says more."""

TRAINING_USAGE = """\
usage: lit-seq {command} [--config FILE] --model CLASS --data CLASS [--KEY VALUE …]

  --model CLASS             topology; its options follow as --model.NAME          (lit-seq list topologies)
  --model.core CLASS        recurrent part; options as --model.core.NAME          (lit-seq list cores)
  --model.core.cell CLASS   update rule; options as --model.core.cell.NAME        (lit-seq list cells)
  --data CLASS              data; options as --data.NAME                          (lit-seq list data)
  --optimizer CLASS         any of torch.optim (Adam, lr 0.001); --optimizer.lr, …
  --lr_scheduler CLASS      any of torch.optim.lr_scheduler; options as --lr_scheduler.NAME
  --trainer.NAME VALUE      any argument of lightning.Trainer: max_steps, gradient_clip_val, accelerator, …
  --seed_everything N       seed of weights, data order and dropout (0)
  --runs_dir DIR --name NAME            the run's folder is DIR/NAME (runs/, date and time)
  --ckpt_path last|best|FILE            checkpoint to go on from, or to test; wandb:ENTITY/PROJECT/model-ID
  --checkpoint.every_seconds S          age of last.ckpt (10); also every_steps, monitor, mode
  --wandb.project P --wandb.group G --wandb.mode auto|online|offline|disabled; --wandb.log_model B
  --config FILE             YAML with the same keys, such as a run's config.yaml; what follows goes before it

  lit-seq {command} --model.help LanguageModel    the options of a class: also --data.help, --optimizer.help
  lit-seq {command} --help.all                    every option
example:
  lit-seq fit --model LanguageModel --model.core.cell LSTM --model.core.hidden_size 128 \\
              --data Text --data.path text --data.data_files book.txt --trainer.max_steps 500 --name book"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: what stands behind `lit-seq`; None takes them from the process.

    Returns:
        0 done; 1 a trial failed; 2 wrong input, nothing started; 130 interrupted, resumable.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(arguments)
    except UserError as error:
        print(f"lit-seq: {error}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE


def entry() -> None:
    """Run as the program `lit-seq`."""
    # Threads that spin while they wait take half of the speed from each other where processes share a machine
    # (19 s against 10 s beside one busy process; alone no difference). OpenMP reads this as it loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    sys.exit(main())


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong, without its usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].upper()}{message[1:].rstrip('.')}; `{self.prog} --help` says more.")


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else "--help"
    if command in ("fit", "validate", "test", "predict"):
        return _train(arguments)
    if command in ("-h", "--help", "help"):
        print(USAGE)
        return DONE
    if command not in COMMANDS:
        allowed = ", ".join(["fit", "validate", "test", "predict", *COMMANDS])
        raise UserError(f"There is no command {command!r}; allowed: {allowed}.")
    module = import_module(COMMANDS[command])
    parser = _Parser("lit-seq", add_help=False)
    module.add_parser(parser.add_subparsers())
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return module.run(parsed)


def _train(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(TRAINING_USAGE.format(command=arguments[0]))
        return DONE
    arguments = ["--help" if word == "--help.all" else word for word in arguments]
    from lit_seq.training.checkpoints import Interrupted
    from lit_seq.training.launch import Failed
    from lit_seq.training.record import Diverged
    from lit_seq.training.run import run

    try:
        run(arguments)
    except Interrupted:
        print("Go on with it by --ckpt_path last.", file=sys.stderr)
        return INTERRUPTED
    except (Diverged, Failed):
        return FAILED
    except (UserError, KeyboardInterrupt):
        raise
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:
        traceback.print_exc()
        return FAILED
    return DONE
