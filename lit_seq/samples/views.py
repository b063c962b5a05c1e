"""Samples as a person sees them: HTML fragments, and lines of text where there is no browser."""

from html import escape

from lit_seq.samples import drawings
from lit_seq.samples.kinds import (
    Alignment,
    Answer,
    Map,
    Matrix,
    Sample,
    Series,
    Statement,
    Tags,
    TreeLabels,
    Writing,
)

LONGEST = 1500
"""Characters of a text that are shown."""


def html(sample: Sample, unfolded: bool = True) -> str:
    """Return an HTML fragment, every text from data escaped.

    Args:
        sample: the sample.
        unfolded: whether where the model looked is seen at once.
    """
    match sample:
        case Writing():
            return f'<pre tabindex="0">{escape(_cut(sample.text))}</pre>'
        case Answer():
            return _answer(sample, unfolded)
        case Tags():
            words = zip(sample.tokens, sample.target, sample.output, strict=True)
            return f'<p class="tags">{"".join(_tag(*word) for word in words)}</p>'
        case TreeLabels():
            return _drawn("", drawings.tree(sample))
        case Series():
            key = "grey: past; " if sample.past else ""
            band = f"; shaded: {sample.band:.0%} band" if sample.low is not None and sample.band else ""
            told = f" ({key}dashed: what came; blue: model{band})" if sample.target else ""
            return _drawn(f"{sample.title}{told}", drawings.series(sample))
        case Map():
            return _drawn(sample.title, drawings.cloud(sample))
        case Matrix():
            return _drawn(sample.title, drawings.matrix(sample))
        case Statement():
            return f"<p>{escape(sample.text)}</p>"


def text(sample: Sample) -> str:
    """Return the sample in words; of a drawing what it is."""
    match sample:
        case Writing() | Statement():
            return _cut(sample.text)
        case Answer():
            asked = f"{_cut(sample.input)} " if sample.input else ""
            return f"{asked}→ {sample.output}" + _correction(sample.output, sample.target)
        case Tags():
            words = zip(sample.tokens, sample.output, sample.target, strict=True)
            return " ".join(f"{token}/{said}" + _correction(said, wanted) for token, said, wanted in words)
        case TreeLabels():
            return _brackets(sample)
        case Series() | Map() | Matrix():
            return sample.title


def _answer(sample: Answer, unfolded: bool) -> str:
    right = sample.output == sample.target
    parts = []
    if sample.image is not None and sample.image.startswith("data:image/png;base64,"):
        parts.append(f'<img src="{escape(sample.image)}" alt="{escape(sample.target)}">')
    if sample.input:
        parts.append(f"<dt>input</dt><dd>{escape(_cut(sample.input))}</dd>")
    mark = "✓" if right else "✗"
    parts.append(f"<dt>model {mark}</dt><dd>{escape(_cut(sample.output))}</dd>")
    if not right:
        parts.append(f"<dt>right</dt><dd>{escape(_cut(sample.target))}</dd>")
    pictures, terms = [p for p in parts if p.startswith("<img")], [p for p in parts if p.startswith("<dt")]
    looked = "" if sample.alignment is None else _looked(sample.alignment, unfolded)
    return f'{"".join(pictures)}<dl class="answers">{"".join(terms)}</dl>{looked}'


def _looked(alignment: Alignment, unfolded: bool) -> str:
    drawing = drawings.alignment(alignment)
    shown = " open" if unfolded else ""
    return f"<details{shown}><summary>where it looked</summary>{_drawn('', drawing)}</details>"


def _tag(token: str, wanted: str | None, said: str) -> str:
    right = wanted is None or wanted == said
    label = escape(said) if right else f"<strong>✗ {escape(said)} ({escape(wanted or '')})</strong>"
    return f"<span>{escape(token)}<small>{label}</small></span> "


def _drawn(title: str, drawing: str) -> str:
    caption = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    return f'<figure class="drawing">{drawing}{caption}</figure>'


def _correction(said: str, wanted: str | None) -> str:
    return "" if wanted is None or wanted == said else f" (right: {wanted})"


def _brackets(sample: TreeLabels) -> str:
    children: list[list[int]] = [[] for _ in sample.parents]
    for node, parent in enumerate(sample.parents):
        if parent >= 0:
            children[parent].append(node)

    def written(node: int) -> str:
        label = sample.output[node] + _correction(sample.output[node], sample.target[node])
        return (
            f"({' '.join(one for one in [label, sample.tokens[node], *map(written, children[node])] if one)})"
        )

    return " ".join(written(node) for node, parent in enumerate(sample.parents) if parent < 0)


def _cut(words: str) -> str:
    return words if len(words) <= LONGEST else words[:LONGEST] + "…"
