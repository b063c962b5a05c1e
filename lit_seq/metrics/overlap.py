"""How many runs of words or characters answers share with their references, by the libraries of the field."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lit_seq.metrics.row import Row


def bleu(rows: Sequence[Row]) -> float:
    """Return corpus BLEU of 4-grams from 0 to 100 (Papineni et al. 2002), as `sacrebleu` has it (Post 2018).

    Its defaults: mixed case, tokenised as 13a, exponential smoothing.
    """
    from sacrebleu.metrics import BLEU

    return BLEU().corpus_score(*_in_columns(rows)).score


def chrf(rows: Sequence[Row]) -> float:
    """Return chrF2 of up to 6 characters from 0 to 100 (Popović 2015), as `sacrebleu` has it."""
    from sacrebleu.metrics import CHRF

    return CHRF().corpus_score(*_in_columns(rows)).score


def rouge(rows: Sequence[Row], kind: Literal["rouge1", "rouge2", "rougeL"]) -> float:
    """Return the mean F1 of shared words, pairs of words or longest common subsequences (Lin 2004).

    By `torchmetrics`, without stemming, against the best of the references; words in lower case, accents
    kept, without punctuation.
    """
    from torchmetrics.functional.text import rouge_score

    answers, references = [row[0] for row in rows], [list(row[1]) for row in rows]
    scores = rouge_score(answers, references, normalizer=str.lower, tokenizer=words, rouge_keys=kind)
    return float(scores[f"{kind}_fmeasure"])


def meteor(rows: Sequence[Row]) -> float:
    """Return mean METEOR (Banerjee & Lavie 2005) of equal words and equal stems, as `nltk` has it.

    Without WordNet, which has to be downloaded, synonyms do not match: figures are a little below those with
    it. Words are in lower case, without punctuation; stems are those of Porter's English stemmer.
    """
    from nltk.translate.meteor_score import meteor_score

    scores = [
        meteor_score([words(right.lower()) for right in rights], words(said.lower()), wordnet=_NoSynonyms())
        for said, rights in rows
    ]
    return float(np.mean(scores))


def words(text: str) -> list[str]:
    """Return the words of `text`, without punctuation."""
    return re.findall(r"\w+", text)


class _NoSynonyms:
    """What METEOR asks for words of the same meaning."""

    def synsets(self, word: str) -> list[Any]:
        return []


def _in_columns(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """Return the answers and, as `sacrebleu` wants them, first references, second references, …."""
    most = max(len(references) for _, references in rows)
    columns = [[dict(enumerate(references)).get(i) for _, references in rows] for i in range(most)]
    return [answer for answer, _ in rows], columns
