"""What there is to say of texts against their references, by name."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from lit_seq.data.vocabulary import Unit
from lit_seq.metrics.cider import cider
from lit_seq.metrics.edits import error_rate, exact_match, mean_edit_distance
from lit_seq.metrics.overlap import bleu, chrf, meteor, rouge
from lit_seq.metrics.row import Row

TEXT_METRICS: dict[str, Callable[[Sequence[Row]], float]] = {
    "bleu": bleu,
    "chrf": chrf,
    "rouge1": partial(rouge, kind="rouge1"),
    "rouge2": partial(rouge, kind="rouge2"),
    "rougeL": partial(rouge, kind="rougeL"),
    "meteor": meteor,
    "cider": cider,
    "word_error_rate": partial(error_rate, symbols=str.split),
    "character_error_rate": partial(error_rate, symbols=list),
    "phoneme_error_rate": partial(error_rate, symbols=str.split),
    "edit_distance": mean_edit_distance,
    "exact_match": exact_match,
}
"""Functions of all rows of a data set, in a process that has them all: no mean of parts gives their value."""


def text_metrics(unit: Unit) -> tuple[str, ...]:
    """Return the names of the metrics that say something of texts made of `unit`s."""
    if unit == "phoneme":
        return ("phoneme_error_rate", "exact_match")
    return tuple(name for name in TEXT_METRICS if name != "phoneme_error_rate")


def text_scores(rows: Sequence[Row], names: Iterable[str]) -> dict[str, float]:
    """Return the metrics of `names`, keys of `TEXT_METRICS`; nothing where there are no rows."""
    return {name: TEXT_METRICS[name](rows) for name in names if rows}
