"""Charts → PNG files, drawn by the same plotly.js that draws them in the page."""

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_seq.report.figures import theme
from lit_seq.report.figures.figure import Figure

WIDTH = 900
LARGEST = 150_000
"""Bytes of a picture."""
_SECONDS = 120


class Undrawable(Exception):
    """Pictures cannot be drawn here; the message says why."""


def pictures(figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Draw charts as PNG on a light page, with the colours and sizes of the HTML report.

    Args:
        figures: by name.

    Returns:
        By name.

    Raises:
        Undrawable: there is no Chrome or Chromium, or it does not work.
    """
    if not figures:
        return {}
    import kaleido
    from kaleido.errors import ChromeNotFoundError

    with tempfile.TemporaryDirectory() as folder:
        drawn = {name: Path(folder) / f"{name}.png" for name in figures}
        tasks = [
            {"fig": _dressed(figures[name]), "path": path, "opts": _SIZE} for name, path in drawn.items()
        ]
        try:
            # Labels are no formulas, and nothing is asked of the network.
            kaleido.write_fig_from_object_sync(
                tasks, cancel_on_error=True, kopts={"mathjax": False, "timeout": _SECONDS}
            )
        except ChromeNotFoundError:
            raise Undrawable("there is no Chrome or Chromium on this machine") from None
        except Exception as error:
            # What a browser fails with is of many kinds.
            raise Undrawable(f"the browser failed ({type(error).__name__})") from error
        return {name: _small(path.read_bytes()) for name, path in drawn.items()}


_SIZE = {"format": "png", "width": WIDTH, "scale": 2}


def _dressed(figure: Figure) -> dict[str, Any]:
    layout = figure.layout | {"template": theme.TEMPLATES["light"]}
    return {"data": figure.data, "layout": layout | {"width": WIDTH, "height": theme.height(figure)}}


def _small(png: bytes) -> bytes:
    """Keep 256 colours, which charts hardly have, and, where that is not small enough, half the size."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    for shrunk in (image, image.reduce(2)):
        stored = io.BytesIO()
        shrunk.quantize(256, dither=Image.Dither.NONE).save(stored, "PNG", optimize=True)
        if stored.tell() <= LARGEST:
            break
    return stored.getvalue()
