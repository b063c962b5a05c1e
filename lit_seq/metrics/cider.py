"""Agreement of a caption with what several people wrote."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log, sqrt

import numpy as np

from lit_seq.metrics.overlap import words
from lit_seq.metrics.row import Row

NGrams = tuple[str, ...]

ORDERS = range(1, 5)
WIDTH = 6.0
"""Standard deviation, in words, of the penalty for length."""


def cider(rows: Sequence[Row]) -> float:
    """Return mean CIDEr-D, 10 at best (Vedantam et al. 2015, equations 1 to 5 with the changes of section 7).

    An n-gram weighs its number times log(rows / rows whose references have it). Answer and reference are
    compared by the cosine of those weights, the answer's clipped to the reference's, times exp(-Δ² / 2σ²)
    with Δ their difference in length and σ = `WIDTH`; that is 10 times its mean over references and over n
    from 1 to 4. Words are in lower case, without punctuation. A single row scores 0, as nothing tells it from
    others.
    """
    cut = [(_ngrams(answer), [_ngrams(one) for one in references]) for answer, references in rows]
    having = Counter(gram for _, references in cut for gram in set().union(*references))
    weights = {gram: log(len(rows) / count) for gram, count in having.items()}
    unseen = log(len(rows))
    return float(np.mean([np.mean([_agreement(c, r, weights, unseen) for r in rs]) for c, rs in cut]))


def _ngrams(text: str) -> Counter[NGrams]:
    said = words(text.lower())
    return Counter(tuple(said[i : i + n]) for n in ORDERS for i in range(len(said) - n + 1))


def _agreement(
    answer: Counter[NGrams], reference: Counter[NGrams], weights: dict[NGrams, float], unseen: float
) -> float:
    cosines = []
    for n in ORDERS:
        own, right = (
            {gram: count * weights.get(gram, unseen) for gram, count in grams.items() if len(gram) == n}
            for grams in (answer, reference)
        )
        shared = sum(min(own[gram], right[gram]) * right[gram] for gram in own.keys() & right.keys())
        norm = sqrt(sum(w * w for w in own.values()) * sum(w * w for w in right.values()))
        cosines.append(shared / norm if norm else 0.0)
    difference = _length(answer) - _length(reference)
    return 10 * float(np.mean(cosines)) * exp(-(difference**2) / (2 * WIDTH**2))


def _length(grams: Counter[NGrams]) -> int:
    return sum(count for gram, count in grams.items() if len(gram) == 1)
