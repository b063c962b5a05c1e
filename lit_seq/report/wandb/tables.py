"""The report's tables, as W&B shows them."""

from typing import Any

from lit_seq.report.document import Document


def comparison(document: Document) -> Any:
    """Return the configurations beside each other as a `wandb.Table`, best first, with plain numbers."""
    import wandb

    table = wandb.Table(
        columns=[
            *("configuration", "task", "settings", "tried", document.statistic, "low", "high"),
            *("difference", "difference_low", "difference_high", "counted", "trials"),
            *("best", "at_the_end", "seconds", "steps_per_second"),
        ],
        allow_mixed_types=True,
    )
    for row in document.rows:
        gap = row.difference
        table.add_data(
            *(row.label, row.task, row.settings, row.tried, row.mean, *(row.interval or (None, None))),
            *(gap and gap.mean, *((gap and gap.interval) or (None, None)), row.counted, row.trials),
            *(row.best, row.final, row.seconds, row.steps_per_second),
        )
    return table
