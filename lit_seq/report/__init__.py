"""Run folders → statistics → figures → one file."""

from pathlib import Path

from lit_seq.errors import UserError

FORMATS = ("html", "md", "json")


def write_report(source: Path | str, output: Path | None = None, format: str = "html") -> Path:  # noqa: A002
    """Write a report.

    Args:
        source: a sweep's folder, a folder of runs, a run folder, an address at W&B (wandb:…, see
            `lit_seq.report.wandb.address`), or a report file (reports/*.yaml).
        output: the file to write; default: report.FORMAT in the (first) folder that is reported on, and
            NAME.FORMAT in the working directory for what is read from W&B alone.
        format: "html", "md" (with pictures in a folder of the file's name) or "json".

    Returns:
        The file that was written.

    Raises:
        UserError: `source` is no such thing, holds no trial, no trial has the metric that the report is
            about, `format` is unknown or the file cannot be written.
    """
    if format not in FORMATS:
        raise UserError(f"There is no report format {format!r}; allowed: {', '.join(FORMATS)}.")
    # The command line asks this package for its commands: pandas is loaded only when a report is written.
    from lit_seq.report.document import build
    from lit_seq.report.plan import Plan
    from lit_seq.report.writing import write

    plan = Plan.of(source)
    target = Path(output) if output is not None else plan.target(format)
    write(build(plan), target, format)
    return target
