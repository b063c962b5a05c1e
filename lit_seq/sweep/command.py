"""`lit-seq sweep FILE`: train what a W&B sweep file asks for, on this machine."""

import argparse
import secrets
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
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="Optuna's storage (study.db in the sweep's folder); postgresql://… lets any number of machines "
        "run the same command on one sweep",
    )
    parser.add_argument(
        "--lease",
        type=float,
        default=180.0,
        metavar="SECONDS",
        help="when the trials of a machine that gives no sign of life go to another (180)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the sweep.

    Returns:
        0 done; 1 a trial failed or diverged; 130 interrupted, resumable.

    Raises:
        UserError: wrong input, nothing started.
    """
    from lit_seq.packing.plan import pack_size
    from lit_seq.sweep.file import read_sweep_file
    from lit_seq.sweep.folder import check_same, create, locked, note_driver
    from lit_seq.sweep.lease import SHORTEST
    from lit_seq.sweep.pool import Pool, device_variables
    from lit_seq.sweep.rehearsal import rehearse
    from lit_seq.sweep.search import Search
    from lit_seq.sweep.storage import is_shared, sqlite_url
    from lit_seq.sweep.study import Study, Terms

    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers is {args.workers}; it must be at least 1.")
    if not args.lease >= SHORTEST:
        raise UserError(f"--lease is {args.lease:g}; it must be at least {SHORTEST:g} seconds.")
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
    if begun := folder.exists():
        check_same(folder, file, args.resume, args.storage)
    else:
        rehearse(folder, search, args.seed)
        terms = Terms(args.seed, args.lease, secrets.token_hex(8))
        begun = not create(folder, search, args.storage, terms)
    storage = args.storage or sqlite_url(folder)
    shared = is_shared(storage)
    if shared and file.early_terminate is not None:
        print(f"Hyperband compares the trials whose folders lie in {folder}.", file=sys.stderr)
    variables = device_variables(args.workers)
    with locked(folder, shared) as lock, closing(Pool(variables, folder / "workers.log", lock)) as pool:
        pool.start()
        study = Study(storage, name, search)
        study.hand_on()
        if args.resume:
            study.retry()
        if begun:
            note_driver(folder)
        return _work(folder, args, study, search, pool)


def _work(folder: Path, args: argparse.Namespace, study: "Study", search: "Search", pool: "Pool") -> int:
    from lit_seq.packing.plan import pack_size
    from lit_seq.sweep.display import display_for
    from lit_seq.sweep.driver import Driver
    from lit_seq.sweep.environment import command_line
    from lit_seq.sweep.outcome import describe_outcome, write_sweep_report
    from lit_seq.sweep.trial import read_trials

    size = pack_size(args.pack)
    display = display_for(search.file, pool.places)
    driver = Driver(folder, search.file, study, pool, display, size)
    try:
        with display:
            done = driver.run()
    except UserError as error:
        print(f"lit-seq: {error} The sweep stops here; --resume goes on.", file=sys.stderr)
        return 1
    if not done:
        again = command_line(*([] if args.resume else ["--resume"]))
        print(f"Interrupted; go on by:  {again}", file=sys.stderr)
        return 130
    trials = list(read_trials(folder, search.file.metric).values())
    for sentence in describe_outcome(trials, search.file):
        print(sentence)
    if study.shared and len(trials) < search.size:
        print(f"The other trials of {search.size} are in the folders of other machines.")
    try:
        report, document = write_sweep_report(folder, search.file)
    except UserError as error:
        print(f"lit-seq: there is no report: {error}", file=sys.stderr)
    else:
        from lit_seq.report.wandb.mirror import mirror_sweep

        print(f"Report: {report}", flush=True)
        mirror_sweep(folder, document, report)
    return 1 if any(trial.status.state in ("failed", "diverged") for trial in trials) else 0
