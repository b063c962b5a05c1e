"""`lit-seq sweep FILE`: train what a W&B sweep file asks for, on this machine."""

import argparse
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from lit_seq.errors import UserError

if TYPE_CHECKING:
    from lit_seq.sweep.pool import Pool
    from lit_seq.sweep.search import Search
    from lit_seq.sweep.study import Study


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        "sweep",
        help="train what a W&B sweep file asks for",
        description="Train what a W&B sweep file asks for, and write RUNS_DIR/NAME/report.html. "
        "Exit codes: 0 all trials are done; 1 a trial failed or diverged; 2 wrong input, nothing started; "
        "130 interrupted, --resume goes on.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the sweep file, as for `wandb sweep`")
    parser.add_argument("--runs_dir", type=Path, default=Path("runs"), help="folder of sweeps (runs)")
    parser.add_argument("--name", help="folder in RUNS_DIR, and W&B group (the file's name, or its stem)")
    parser.add_argument("--workers", type=int, help="trials at once (one a GPU; 1 without a GPU)")
    parser.add_argument(
        "--pack", default="auto", metavar="auto|off|K", help="most trials trained as one stacked model (auto)"
    )
    parser.add_argument("--resume", action="store_true", help="finish what was interrupted or failed")
    parser.add_argument("--seed", type=int, default=0, help="of method random and bayes (0)")
    parser.add_argument("--storage", metavar="URL", help="Optuna's storage (study.db in the sweep's folder)")


def run(args: argparse.Namespace) -> int:
    """Run the sweep.

    Returns:
        0 done; 1 a trial failed or diverged; 130 interrupted, resumable.

    Raises:
        UserError: wrong input, nothing started.
    """
    from lit_seq.packing.plan import pack_size
    from lit_seq.sweep.driver import take_up
    from lit_seq.sweep.file import read_sweep_file
    from lit_seq.sweep.folder import check_same, create, locked, note_resumption
    from lit_seq.sweep.pool import Pool, device_variables
    from lit_seq.sweep.rehearsal import rehearse
    from lit_seq.sweep.search import Search
    from lit_seq.sweep.study import Study, sqlite_url

    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers is {args.workers}; it must be at least 1.")
    pack_size(args.pack)
    file = read_sweep_file(args.file)
    name = args.name or file.name
    if Path(name).name != name or name.startswith("."):
        raise UserError(f"The sweep's name {name!r} cannot be a folder's name; give another --name.")
    folder = args.runs_dir / name
    search = Search(file)
    for note in file.notes:
        print(note, file=sys.stderr)
    print(f"{name}: {search.description()}", flush=True)
    if folder.exists():
        check_same(folder, file, args.resume)
    else:
        rehearse(folder, search, args.seed)
        create(folder, search, args.storage, args.seed)
    variables = device_variables(args.workers)
    with locked(folder) as lock, closing(Pool(variables, folder / "workers.log", lock)) as pool:
        pool.start()
        study = Study(args.storage or sqlite_url(folder), name, search)
        if args.resume:
            take_up(folder, study, file)
            note_resumption(folder)
        return _work(folder, args, study, search, pool)


def _work(folder: Path, args: argparse.Namespace, study: "Study", search: "Search", pool: "Pool") -> int:
    from lit_seq.packing.plan import pack_size
    from lit_seq.sweep.display import display_for
    from lit_seq.sweep.driver import Driver
    from lit_seq.sweep.outcome import describe_outcome, write_sweep_report

    size = pack_size(args.pack)
    display = display_for(search.file, pool.places)
    driver = Driver(folder, search.file, study, pool, display, size)
    try:
        with display:
            done = driver.run()
    except UserError as error:
        print(f"lit-seq: {error} The sweep stops here; --resume goes on.", file=sys.stderr)
        return 1
    trials = list(driver.trials.values())
    if not done:
        again = shlex.join(["lit-seq", *sys.argv[1:], *([] if args.resume else ["--resume"])])
        print(f"Interrupted; go on by:  {again}", file=sys.stderr)
        return 130
    for sentence in describe_outcome(trials, search.file):
        print(sentence)
    try:
        print(f"Report: {write_sweep_report(folder, search.file)}")
    except UserError as error:
        print(f"lit-seq: there is no report: {error}", file=sys.stderr)
    return 1 if any(trial.status.state in ("failed", "diverged") for trial in trials) else 0
