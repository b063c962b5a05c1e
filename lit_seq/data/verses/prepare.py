"""Make verses.tsv.gz from two translations of the Bible that Debian ships as SWORD modules.

apt-get download sword-text-web=426.0-1 sword-text-sparv=2.60-1
for package in sword-text-*.deb; do dpkg -x $package sword; done
pip install pysword==0.2.8
python lit_seq/data/verses/prepare.py sword/usr/share/sword
"""

import gzip
import re
import sys
from pathlib import Path

LONGEST = 15
"""Most words of a verse on each side."""


def plain(osis: str) -> str:
    """Return the words of a verse marked up in OSIS."""
    text = re.sub(r"<(note|title)\b.*?</\1>", "\0", osis, flags=re.DOTALL)
    text = re.sub(r"(<[^>]*>|\0)+", "\0", text)
    # A tag parts words and sentences, but not a word from the comma behind it.
    text = re.sub(r"(?<=[\w,.;:!?”’)])\0(?=[\w“‘¿¡(])", " ", text).replace("\0", "")
    text = re.sub(r"\s+([,.;:!?”’)])", r"\1", " ".join(text.split()))
    # A chapter begins with a word in capitals.
    return re.sub(r"^(\W*)(\w{2,})\b", _capitalised, text)


def _capitalised(start: re.Match[str]) -> str:
    return start[1] + (start[2].capitalize() if start[2].isupper() else start[2])


def _kept(text: str) -> bool:
    words = text.split()
    return 0 < len(words) <= LONGEST and not any(re.fullmatch(r"\w{2,}", w) and w.isupper() for w in words)


def main(folder: Path) -> None:
    """Write the verses that are short in both translations to verses.tsv.gz beside this file.

    Chapters that have more verses in one of them are left out.
    """
    from pysword.modules import SwordModules  # type: ignore[import-not-found]

    modules = SwordModules(str(folder))
    modules.parse_modules()
    bibles = [modules.get_bible_from_module(name) for name in ("engWEB2015eb", "spaRV1909eb")]
    lines = []
    for books in bibles[1].get_structure().get_books().values():
        for book in books:
            for chapter in range(1, len(book.chapter_lengths) + 1):
                where = {"books": [book.name], "chapters": [chapter], "clean": False}
                chapters = [list(bible.get_iter(**where)) for bible in bibles]
                if len(chapters[0]) != len(chapters[1]):
                    continue
                for pair in zip(*chapters, strict=True):
                    english, spanish = map(plain, pair)
                    if _kept(english) and _kept(spanish):
                        lines.append(f"{english}\t{spanish}\n")
    packed = gzip.compress("".join(lines).encode("utf-8"), compresslevel=9, mtime=0)
    (Path(__file__).parent / "verses.tsv.gz").write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
