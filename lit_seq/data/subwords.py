"""Pieces of words by byte-pair encoding over bytes (Sennrich et al. 2016, Radford et al. 2019)."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BYTES = 256
"""Symbols that every vocabulary has."""

SIZE = 8000
"""Symbols of a vocabulary where nobody says how many."""


def learn(texts: Iterable[str], size: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the symbols and, most frequent first, the pairs that were joined until there were `size`.

    Args:
        texts: training texts.
        size: most symbols; fewer where no pair is left that occurs twice.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    # Its threads would warn of every worker of a loader that is forked later.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    learned = tokenizer((), ())
    trainer = BpeTrainer(
        vocab_size=size, min_frequency=2, show_progress=False, initial_alphabet=sorted(ByteLevel.alphabet())
    )
    learned.train_from_iterator(texts, trainer)
    return _content(learned)


def tokenizer(symbols: Sequence[str], merges: Sequence[str]) -> "Tokenizer":
    """Return what turns a text into numbers of `symbols` and back."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    pairs = [(left, right) for left, right in map(str.split, merges)]
    made = Tokenizer(BPE(numbers, pairs))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def _content(learned: "Tokenizer") -> tuple[tuple[str, ...], tuple[str, ...]]:
    model = json.loads(learned.to_str())["model"]
    symbols = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return tuple(symbols), tuple(" ".join(pair) for pair in model["merges"])
