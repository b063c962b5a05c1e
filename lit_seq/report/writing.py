"""A report → a file in one of the formats."""

import json
from pathlib import Path

from lit_seq.errors import UserError
from lit_seq.report.document import Document
from lit_seq.run_folder import replacing


def write(document: Document, target: Path, form: str) -> None:
    """Write `document` to `target` as "html", "md" or "json".

    Raises:
        UserError: the file cannot be written.
    """
    if form == "html":
        from lit_seq.report.page import page

        text = page(document, target.parent)
    elif form == "md":
        from lit_seq.report.markdown import markdown

        text = markdown(document)
    else:
        from lit_seq.report.plain import plain

        text = json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    # Generated texts may hold halves of surrogate pairs, which UTF-8 cannot write.
    text = text.encode("utf-8", "replace").decode("utf-8")
    try:
        with replacing(target) as file:
            file.write(text)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {target} ({error.strerror}); choose another place with -o."
        ) from None
