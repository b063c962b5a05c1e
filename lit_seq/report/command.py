"""`lit-seq report`."""

import argparse
from pathlib import Path

from lit_seq.report import FORMATS, write_report


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to `lit-seq`."""
    parser = subparsers.add_parser(
        "report",
        help="compare runs: one HTML file that opens without a network",
        description="Compare the trials of a sweep, or single runs: answer, learning curves with bands "
        "over seeds, table with intervals, texts, what failed and why, how to reproduce.",
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="a sweep's folder, a folder of runs, a run folder, or a report file (reports/quickstart.yaml)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write (default: report.FORMAT in the folder)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="html", help="html (default), md for a README, json for programs"
    )


def run(args: argparse.Namespace) -> int:
    """Write the report and say where it is.

    Raises:
        UserError: see `lit_seq.report.write_report`.
    """
    print(write_report(args.source, args.output, args.format))
    return 0
