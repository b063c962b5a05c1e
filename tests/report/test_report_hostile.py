"""Texts of others in every place of a report: they are shown, and never run, linked or read as markup."""

import json
import re
from html import unescape

import numpy as np
import pytest
import yaml
from fake_sweep import write_sweep, write_trial
from markdown_it import MarkdownIt
from PIL import Image
from test_report_browser import CHROMIUM, Visit
from test_report_formats import Page

from lit_seq.report import write_report
from lit_seq.samples import Answer, Statement, Tags, Writing, to_line

RUN = "document.documentElement.dataset.ran=1"
ATTACKS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<svg onload={RUN}>",
    f"[x](javascript:{RUN})",
    f'<a href="javascript:{RUN}">y</a>',
    "![z](http://evil.invalid/z) http://evil.invalid www.evil.invalid",
    "|a|b|\n|-|-|\n# c\n```\n~~~",
    "%{x} ${x} $x^2$ {{7*7}} {%raw%}",
    "\u202eمرحبا\u2066 שלום",
    "'\"&amp;\x00\x1b[31m",
)
ALL = " ".join(ATTACKS)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Every name and text is an attack; a configuration for each, two seeds."""
    folder = tmp_path_factory.mktemp("hostile") / "s"
    metric = f"val/{ALL}".replace("\n", " ").replace("\x00", "")
    key = f"model.{ALL}"
    write_sweep(folder, {key: ATTACKS, "seed_everything": [1, 2]}, (metric, "minimize"), description=ALL)
    environment = {"command": ALL, "commit": ALL, "devices": [ALL], "versions": {ALL: ALL}, ALL: ALL}
    (folder / "environment.json").write_text(json.dumps(environment))
    for index, attack in enumerate(ATTACKS):
        for seed in (1, 2):
            said = [
                Writing(ALL, 1.0, ALL),
                Answer(ALL, ALL, attack),
                Tags([ALL], [attack], [ALL]),
                Statement(ALL),
            ]
            trial = write_trial(
                folder / "trials" / f"{index}{seed}[x](javascript:{seed})<b>|",
                {key: attack, "size": index % 3, "seed_everything": seed},
                [{"step": s, "epoch": 0, metric: 1 / s + index + seed / 9} for s in range(1, 9)],
                state="failed" if index == 3 else "finished",
                reason=ALL if index == 3 else None,
                samples=[{"step": 1, "moment": ALL, **to_line(one)} for one in said],
                config={"wandb": {"group": ALL}},
            )
            (trial / "diagnostics").mkdir()
            cells = {}
            for cell in ("a</script>", "b|<img src=x onerror=alert(1)>"):
                cells |= {f"{cell}/{name}": np.ones((1, 4)) for name in ("gradient", "contribution")}
                cells |= {f"{cell}/{name}": np.ones(1) for name in ("short_term", "long_term")}
            np.savez(trial / "diagnostics" / "GradientFlow.npz", step=np.array([1]), **cells)
    return folder


@pytest.fixture(scope="module")
def source(sweep):
    """A report file with attacks of its own."""
    entry = {"what": ALL, "value": ALL, "source": ALL}
    file = sweep.parent / "r.yaml"
    content = {"runs": [str(sweep)], "title": ALL, "question": ALL, "published": [entry], "threshold": 2.0}
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture(scope="module")
def markdown(source, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BROWSER_PATH", "/nonexistent")
        return write_report(source, tmp_path_factory.mktemp("md") / "r.md", "md").read_text()


def tokens(text):
    """Return all tokens of a Markdown text as GitHub reads it."""
    parsed = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [token for block in parsed for token in (block, *(block.children or []))]


def test_markdown_has_no_markup_of_others(markdown):
    found = tokens(markdown)
    kinds = {token.type for token in found}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "s_open", "code_inline"}
    assert "\u202e" not in markdown
    # Addresses are broken up where GitHub would make links of them, and formulas are none.
    outside = "\n".join(token.content for token in found if token.type == "inline")
    assert not re.search(r"(?<!\\)://|www\.|(?<!\\)\$", outside)
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    assert len(tables) > 5
    assert all(len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1 for table in tables)


def test_markdown_shows_the_texts(markdown):
    shown = "".join(token.content for token in tokens(markdown) if token.type == "inline")
    shown = unescape(re.sub(r"\\(?=\W)", "", shown))
    for attack in ATTACKS[:7]:
        assert attack in shown
    assert "مرحبا" in shown


READER = """
const state = { texts: [] };
document.querySelectorAll("details").forEach((one) => { one.open = true; });
document.querySelectorAll(".sort").forEach((one) => one.click());
for (const box of document.querySelectorAll(".chart")) {
  box.data.forEach((trace, number) => {
    if (!(trace.x || []).length || trace.hoverinfo === "skip") return;
    try { Plotly.Fx.hover(box, [{ curveNumber: number, pointNumber: 0 }]); } catch (error) { return; }
    state.texts.push(...[...box.querySelectorAll(".hoverlayer text")].map((one) => one.textContent));
  });
  const labels = box.querySelectorAll(".legendtext, .ytick text, .annotation-text");
  state.texts.push(...[...labels].map((one) => one.textContent));
}
setTimeout(() => {
  state.ran = document.documentElement.dataset.ran ?? null;
  state.links = [...document.querySelectorAll("a")].map((one) => one.getAttribute("href"));
  // A heat map is an image that plotly makes itself.
  const images = [...document.querySelectorAll("img, image")].map((one) => one.src ?? one.href.baseVal);
  state.images = images.filter((source) => !source.startsWith("data:")).length;
  state.handlers = document.querySelectorAll("[onload], [onerror]").length;
  document.body.dataset.state = JSON.stringify(state);
}, 500);
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_nothing_runs_in_a_browser_even_without_the_policy(source, tmp_path):
    page = write_report(source, tmp_path / "r.html")
    text = page.read_text()
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert len(bare) < len(text)
    page.write_text(bare.replace("</body>\n</html>", f"<script>{READER}</script></body></html>"))
    visit = Visit(page, tmp_path / "visit")
    assert visit.console == []
    [told] = [a["data-state"] for tag, a in Page(visit.dom).tags if tag == "body"]
    state = json.loads(told)
    assert (state["ran"], state["images"], state["handlers"]) == (None, 0, 0)
    assert all(link.startswith(("s/trials/", "../", "./")) for link in state["links"])
    assert any("<script>document" in one for one in state["texts"])
    assert any("javascript:" in one for one in state["texts"])
    assert visit.hosts == set()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_pictures_are_drawn_of_hostile_names(source, tmp_path):
    text = write_report(source, tmp_path / "r.md", "md").read_text()
    images = [token.attrs["src"] for token in tokens(text) if token.type == "image"]
    assert images
    assert sorted(images) == sorted(f"r/{file.name}" for file in (tmp_path / "r").iterdir())
    for image in images:
        with Image.open(tmp_path / image) as picture:
            assert picture.size[0] == 1800
