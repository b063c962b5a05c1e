"""The report as one HTML file that needs no network."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lit_seq.report import captions, sections
from lit_seq.report.charts import charts, own_styles
from lit_seq.report.document import Document
from lit_seq.report.figures import theme
from lit_seq.report.figures.figure import Figure
from lit_seq.report.plain import plain
from lit_seq.report.said import Moment
from lit_seq.report.sweep_folder import SweepFolder
from lit_seq.report.trials import Trial
from lit_seq.report.wording import count, duration, listing, metric_name, number, visible
from lit_seq.samples import views

SHOWN = 6
"""Configurations whose samples are shown."""


def page(document: Document, folder: Path) -> str:
    """Return the HTML.

    Args:
        document: what to show.
        folder: where the file will lie, for links to run folders; runs at W&B have their pages.
    """
    import jinja2
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    resources = files("lit_seq.report") / "templates"
    plotly, script = get_plotlyjs(), (resources / "page.js").read_text(encoding="utf-8")
    shown = sections.shown(document)
    drawn = charts(document, shown)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (resources / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {
        "number": number,
        "duration": duration,
        "listing": listing,
        "metric_name": metric_name,
        "count": count,
        "quoted": lambda text: json.dumps(text, ensure_ascii=False),
    }

    def link(target: Trial | SweepFolder) -> str:
        if target.url is not None:
            return target.url
        return quote(Path(os.path.relpath(target.folder.resolve(), folder.resolve())).as_posix()) + "/"

    return environment.get_template("page.html.j2").render(
        document=document,
        captions=captions,
        styles=own_styles(document),
        figures=drawn,
        data={"templates": theme.TEMPLATES, "narrow": theme.NARROW, "figures": _sized(drawn)},
        sections=[
            (name, sections.section(name, document) if name in sections.NAMES else None) for name in shown
        ],
        moments=_moments(document),
        view=lambda sample, unfolded: Markup(visible(views.html(sample, unfolded))),
        link=link,
        shown=document.said[:SHOWN],
        plotly=Markup(plotly),
        script=Markup(script),
        css=Markup((resources / "page.css").read_text(encoding="utf-8")),
        policy=f"default-src 'none'; script-src {_hash(plotly)} {_hash(script)}; style-src 'unsafe-inline'; "
        "img-src data: blob:",
    )


def _sized(drawn: Mapping[str, Figure]) -> dict[str, Any]:
    """Return what the page's script draws: each figure with its heights on a wide page and on a phone."""
    return {
        name: {**plain(figure), "heights": [theme.height(figure), theme.height(figure, narrow=True)]}
        for name, figure in drawn.items()
    }


def _moments(document: Document) -> list[tuple[str, list[Moment | None]]]:
    """Return, by moment of training, what the configurations shown said, None where one said nothing."""
    by_moment = [{moment.name: moment for moment in said.moments} for said in document.said[:SHOWN]]
    order = dict.fromkeys(name for moments in by_moment for name in moments)
    return [(name, [one.get(name) for one in by_moment]) for name in order]


def _hash(script: str) -> str:
    """Return the source expression by which the page's policy allows this script and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
