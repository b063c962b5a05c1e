"""Trees in brackets, as the Penn and the Stanford Sentiment Treebank write them."""

import re
from typing import NamedTuple

PHRASE = "<phrase>"
"""What stands at a node that has no word."""


class Brackets(NamedTuple):
    """A tree, its nodes in the order in which their brackets close: children before their parent.

    Attributes:
        words: each node's word, `PHRASE` where it has none.
        labels: each node's label.
        parents: each node's parent, from 0; -1 at the root, which is the last.
    """

    words: list[str]
    labels: list[str]
    parents: list[int]


def parse(text: str) -> Brackets:
    """Return the tree of a text such as (3 (2 The) (3 (4 lovely) (2 film))).

    A node is its label and then its word or its children, in brackets.

    Raises:
        ValueError: it is no tree; the message says why, as the end of a sentence.
    """
    words: list[str] = []
    labels: list[str] = []
    parents: list[int] = []
    # Of each bracket that is open: the node's own words, the label first, and its children.
    open_nodes: list[tuple[list[str], list[int]]] = []
    # Words of the Stanford Sentiment Treebank have spaces inside that do not break a line.
    for symbol in re.findall(r"[()]|[^ \t\r\n()]+", text):
        if parents and not open_nodes:
            raise ValueError("goes on behind its root; a tree has one")
        if symbol == "(":
            open_nodes.append(([], []))
        elif not open_nodes:
            raise ValueError(f"has {symbol!r} outside of brackets")
        elif symbol != ")":
            open_nodes[-1][0].append(symbol)
        else:
            own, children = open_nodes.pop()
            if not own or len(own) + bool(children) != 2:
                raise ValueError(
                    f"has a node ({' '.join(own)}) with {len(children)} children; it must be a label and"
                    " either a word or children"
                )
            words.append(PHRASE if children else own[1])
            labels.append(own[0])
            parents.append(-1)
            for child in children:
                parents[child] = len(words) - 1
            if open_nodes:
                open_nodes[-1][1].append(len(words) - 1)
    if open_nodes or not parents:
        raise ValueError("has a bracket that is not closed" if open_nodes else "is empty")
    return Brackets(words, labels, parents)
