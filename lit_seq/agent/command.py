"""`lit-seq agent SWEEP`: train runs of a W&B sweep on this machine, stacked where they can be."""

import argparse
import os
import shlex
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

from lit_seq.errors import UserError


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "agent",
        help="train runs of a W&B sweep",
        description="Train runs that a W&B sweep hands out, as `wandb agent` does, but stacked where they "
        "can be: as many agents as a pack holds are registered at the server, and each run is stopped, "
        "preempted and resumed for itself. Run folders are RUNS_DIR/RUN_ID. "
        "Exit codes: 0 the sweep has nothing left; 1 a run failed or diverged; 2 wrong input, nothing "
        "started; 130 interrupted, the sweep hands its runs out again.",
    )
    parser.add_argument(
        "sweep", metavar="SWEEP_ID", help="ENTITY/PROJECT/ID, as `wandb sweep` prints it, or ID"
    )
    parser.add_argument("--entity", help="W&B user or team (the login's default)")
    parser.add_argument("--project", help="W&B project (the environment's WANDB_PROJECT)")
    parser.add_argument(
        "--runs_dir", type=Path, default=Path("runs"), help="folder of the run folders (runs)"
    )
    parser.add_argument("--workers", type=int, help="packs at once (one a GPU; 1 without a GPU)")
    parser.add_argument(
        "--pack", default="auto", metavar="auto|off|K", help="most runs trained as one stacked model (auto)"
    )
    parser.add_argument("--count", type=int, help="most runs to train (all that the sweep has)")


def run(args: argparse.Namespace) -> int:
    """Work for the sweep.

    Returns:
        0 done; 1 a run failed or diverged; 130 interrupted.

    Raises:
        UserError: wrong input, nothing started.
    """
    from lit_seq.agent.server import Server, SweepPath

    for name in ("workers", "count"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}; it must be at least 1.")
    project = args.project or os.environ.get("WANDB_PROJECT")
    server = Server(SweepPath.of(args.sweep, project, args.entity or os.environ.get("WANDB_ENTITY")))
    # What takes seconds to import comes when there is something to do.
    from lit_seq.agent.driver import Driver
    from lit_seq.agent.runs import Orders
    from lit_seq.packing.plan import pack_size
    from lit_seq.sweep.pool import Pool, device_variables
    from lit_seq.training.recording import disk_errors

    size = pack_size(args.pack)
    with disk_errors(args.runs_dir):
        args.runs_dir.mkdir(parents=True, exist_ok=True)
        log = args.runs_dir / "workers.log"
        log.touch()
    variables = device_variables(args.workers)
    with open(os.devnull, encoding="utf-8") as no_lock, closing(Pool(variables, log, no_lock)) as pool:
        pool.start()
        driver = Driver(server, Orders(server, args.runs_dir, size > 1), pool, size, args.count)
        done = driver.run()
    states = Counter(driver.ended.values())
    print(f"{len(driver.ended)} runs: {', '.join(f'{n} {state}' for state, n in states.items()) or 'none'}.")
    if not done:
        again = shlex.join(["lit-seq", *sys.argv[1:]])
        print(f"Interrupted; the sweep hands its runs out again, here by:  {again}", file=sys.stderr)
        return 130
    return 1 if states["failed"] or states["diverged"] else 0
