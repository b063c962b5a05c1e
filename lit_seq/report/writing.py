"""A report → a file in one of the formats."""

import json
from pathlib import Path

from lit_seq.errors import UserError
from lit_seq.report.document import Document
from lit_seq.report.wording import count
from lit_seq.run_folder import replacing

MOST_PICTURES = 10
"""Charts that a Markdown report shows."""


def write(document: Document, target: Path, form: str) -> None:
    """Write `document` to `target` as "html", "md" (with pictures in a folder beside it) or "json".

    Raises:
        UserError: the file cannot be written.
    """
    beside: dict[Path, bytes] = {}
    if form == "html":
        from lit_seq.report.page import page

        text = page(document, target.parent)
    elif form == "md":
        text, beside = _markdown(document, target)
    else:
        from lit_seq.report.plain import plain

        text = json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    # Generated texts may hold halves of surrogate pairs, which UTF-8 cannot write.
    text = text.encode("utf-8", "replace").decode("utf-8")
    try:
        for file, content in beside.items():
            with replacing(file) as opened:
                opened.buffer.write(content)  # type: ignore[attr-defined]
        with replacing(target) as opened:
            opened.write(text)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {target} ({error.strerror}); choose another place with -o."
        ) from None


def _markdown(document: Document, target: Path) -> tuple[str, dict[Path, bytes]]:
    """Return the text of a Markdown report, and the pictures that lie in a folder of its name beside it."""
    from lit_seq.report import sections
    from lit_seq.report.charts import charts, section_of
    from lit_seq.report.markdown import Pictures, markdown
    from lit_seq.report.pictures import Undrawable, pictures

    shown = sections.shown(document)
    figures = charts(document, shown)
    names = sorted(figures, key=lambda name: shown.index(section_of(name)))
    chosen = {name: figures[name] for name in names[:MOST_PICTURES]}
    folder = target.with_suffix("") if target.suffix else target.with_name(f"{target.name}-figures")
    try:
        drawn = pictures(chosen)
    except Undrawable as reason:
        return markdown(document, Pictures(note=f"Figures are left out: {reason}.")), {}
    files = {name: f"{folder.name}/{name}.png" for name in drawn}
    more = len(figures) - len(drawn)
    note = f"{count(more, 'more chart')} in the HTML report." if more else None
    text = markdown(document, Pictures(files, {name: figures[name].alt for name in drawn}, note))
    return text, {target.parent / files[name]: content for name, content in drawn.items()}
