"""English words with their pronunciations, shipped with the package (see NOTICE)."""

import gzip
from pathlib import Path
from typing import Any

from lit_seq.data.module import Split
from lit_seq.data.text_pairs import Pair, TextPairs


class Pronunciations(TextPairs):
    """How English words and names are pronounced: letters in, phonemes out (.4 MB, shipped with lit-seq).

    50,000 words of the CMU Pronouncing Dictionary, drawn at random from its words of letters only that have
    one pronunciation: 7.4 letters and 6.3 phonemes each on average, 28 at most. There are 39 phonemes
    (ARPAbet, without stress). Held-out words are drawn at random too, so many have a relative in training
    (plural, past tense).

    Batch: inputs (batch, longest) int64, letters; targets (batch, longest) int64, phonemes and the end token.

    Source: Carnegie Mellon University, http://www.speech.cs.cmu.edu/cgi-bin/cmudict. Yao & Zweig 2015
    (Sequence-to-sequence neural net models for grapheme-to-phoneme conversion) report 5.45 % phoneme errors
    of bidirectional LSTMs trained on twice as many of its words.

    Args:
        batch_size: words of a batch.
        validation_fraction: part of the words to validate on.
        test_fraction: part of the words to test on.
        pairs: further arguments of `TextPairs`.
    """

    def __init__(
        self,
        batch_size: int = 64,
        validation_fraction: float = 0.02,
        test_fraction: float = 0.02,
        **pairs: Any,
    ) -> None:
        super().__init__(
            source_unit="character",
            target_unit="phoneme",
            batch_size=batch_size,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            **pairs,
        )

    def read(self) -> dict[Split, list[Pair]]:
        """Return the words and their pronunciations."""
        text = gzip.decompress((Path(__file__).parent / "words.txt.gz").read_bytes()).decode("utf-8")
        pairs = (line.partition(" ") for line in text.splitlines())
        return {"train": [(word, phonemes) for word, _, phonemes in pairs]}
