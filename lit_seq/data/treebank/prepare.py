"""Make web.conllu.gz from the treebank that PyPI's turkish-treebanks 1.0.0 ships.

pip download turkish-treebanks==1.0.0 --no-deps && unzip turkish_treebanks-1.0.0-py3-none-any.whl -d turkish
python lit_seq/data/treebank/prepare.py turkish/data/web.conllu
"""

import gzip
import sys
from pathlib import Path

KEPT = ("id", "form", "upos", "xpos", "head", "deprel")
COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def without_the_rest(line: str) -> str:
    """Return a word's line with "_" in the columns that are not kept."""
    fields = line.split("\t")
    return "\t".join(field if name in KEPT else "_" for name, field in zip(COLUMNS, fields, strict=True))


def main(path: Path) -> None:
    """Write web.conllu.gz beside this file from the treebank at `path`."""
    lines = path.read_text(encoding="utf-8").split("\n")
    text = "\n".join(without_the_rest(line) if line else "" for line in lines if not line.startswith("#"))
    # No date, so that the same content is the same file.
    packed = gzip.compress(text.encode("utf-8"), 9, mtime=0)
    (Path(__file__).parent / "web.conllu.gz").write_bytes(packed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
