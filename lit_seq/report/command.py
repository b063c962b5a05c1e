"""`lit-seq report`."""

import argparse
import textwrap
from pathlib import Path

from lit_seq.errors import UserError
from lit_seq.report import FORMATS, write_report
from lit_seq.report.plan import SECTIONS

EPILOG = """\
a report file is YAML:
  runs                       folders, globs for folders, or addresses at W&B: wandb:ENTITY/PROJECT, and behind
                             it /groups/NAME, /sweeps/ID or /runs/ID for a part of the project (needed)
  title, question            what stands above the report
  metric, goal               what decides, and whether to minimize or maximize it (the sweep's)
  judge_by                   best | last value of a trial, or the updates it needs to come to threshold
  threshold                  value of the metric that is good enough (the target of the sweep's metric)
  statistic                  what stands for the seeds: mean | iqm, the mean of their middle half
  compare_by                 keys that are compared, each value at the best of the other settings
  fix                        keys to values, or lists of values: other trials are left out
  x                          step | tokens | seconds: what curves are drawn against at first
  heat_map                   two keys
  published                  a list of what, value, source and sure: read | memory | computed
  orderings                  a list of better, worse (rows of the table) and source: what should come out
  sections                   which to show, in this order:
{sections}""".format(
    sections=textwrap.fill(", ".join(SECTIONS), 90, initial_indent=" " * 29, subsequent_indent=" " * 29)
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to `lit-seq`."""
    parser = subparsers.add_parser(
        "report",
        help="compare runs: one HTML file that opens without a network",
        description="Compare the trials of a sweep, or single runs: answer, learning curves with bands "
        "over seeds,\ntable with intervals, pairs, settings, texts, cost, what failed and why, how to "
        "reproduce.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a sweep's folder, a folder of runs, a run folder, an address at W&B "
        "(wandb:ENTITY/PROJECT/groups/NAME), or a report file (reports/quickstart.yaml)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write (default: report.FORMAT in the folder)",
    )
    parser.add_argument(
        "--format",
        choices=(*FORMATS, "wandb"),
        default="html",
        help="html (default); md for a README, with its pictures in a folder beside it; json for programs; "
        "wandb for a W&B report beside the runs",
    )


def run(args: argparse.Namespace) -> int:
    """Write the report and say where it is.

    Raises:
        UserError: see `lit_seq.report.write_report` and `lit_seq.report.wandb.save`.
    """
    if args.format == "wandb":
        if args.output is not None:
            raise UserError("A W&B report is no file: leave out -o, or choose another --format.")
        from lit_seq.report.wandb.save import save_to_wandb

        print(save_to_wandb(args.source))
    else:
        print(write_report(args.source, args.output, args.format))
    return 0
