"""Entities that tags mark: precision, recall and F1 over a corpus."""

from collections.abc import Iterable, Sequence

ENTITY_METRICS = ("entity_f1", "entity_precision", "entity_recall")
"""Names of what `entity_scores` gives."""


def marks_entities(tags: Iterable[str] | None) -> bool:
    """Return whether a set of tags marks entities: B-PER, I-PER, …, O."""
    return any(tag.startswith("B-") for tag in tags or ())


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Return the entities that tags in BIO mark, each as its type, first token and last token.

    As in conlleval (Tjong Kim Sang & Buchholz 2000), an I that goes on with nothing, or with another type,
    begins an entity too.
    """
    found = set()
    kind, first = "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, own = tag.partition("-")
        goes_on = prefix == "I" and own == kind
        if kind and not goes_on:
            found.add((kind, first, place - 1))
        if not goes_on:
            kind, first = (own if prefix in ("B", "I") else ""), place
    return found


def entity_scores(rows: Iterable[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float]:
    """Return precision, recall and F1 of entities, of which both borders and the type must be right.

    They are of the whole corpus (micro averages); a share of nothing is 0.

    Args:
        rows: the tags of each sentence as the model says, and as they are.
    """
    hits = said = there = 0
    for output, target in rows:
        ours, right = entities(output), entities(target)
        hits, said, there = hits + len(ours & right), said + len(ours), there + len(right)
    return {
        "entity_f1": 2 * hits / (said + there) if said + there else 0.0,
        "entity_precision": hits / said if said else 0.0,
        "entity_recall": hits / there if there else 0.0,
    }
