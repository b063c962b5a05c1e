"""Eight plays of Shakespeare, shipped with the package (see NOTICE)."""

from pathlib import Path

from lit_seq.data.module import Split
from lit_seq.data.streams import TextStreams


class Shakespeare(TextStreams):
    """Eight plays of Shakespeare (1 MB, shipped with lit-seq), for first language models.

    Hamlet, Macbeth, Romeo and Juliet, Othello, King Lear, Julius Caesar, A Midsummer Night's Dream and
    The Tempest, one after the other: about 1.02 million characters, 65 different ones. Validation and
    test text are from the end: The Tempest.
    """

    def read(self) -> dict[Split, str]:
        """Return the plays."""
        return {"train": (Path(__file__).parent / "plays.txt").read_text(encoding="utf-8")}
