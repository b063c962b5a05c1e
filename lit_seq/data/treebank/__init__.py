"""A treebank, shipped with the package (see NOTICE)."""

from pathlib import Path
from typing import Any, Literal

from lit_seq.data.tagging import Tagging


class Treebank(Tagging):
    """The web part of the Turkish Web Treebank (0.2 MB, shipped with lit-seq), for first taggers and trees.

    2,541 sentences of web pages and forums with 32,422 tokens, each with a part of speech (upos, 14 classes;
    xpos is finer), its head and its relation to it (deprel, 43 classes). Words stand in their inflectional
    parts, as Turkish derives words of words. Which sentences are held out is drawn by `validation_seed`.

    Args:
        tags: what the targets are.
        trees: whether sentences are dependency trees, for `--model Recursive`.
        sentences: the arguments of `Sentences`.
    """

    def __init__(
        self,
        tags: Literal["upos", "xpos", "deprel"] = "upos",
        trees: bool = False,
        **sentences: Any,
    ) -> None:
        super().__init__(
            "conllu",
            data_files=str(Path(__file__).parent / "web.conllu.gz"),
            tag_column=tags,
            head_column="head" if trees else None,
            **sentences,
        )
        if tags not in ("upos", "xpos", "deprel"):
            raise self._wrong(f"tags is {tags!r}; it must be upos, xpos or deprel.")
