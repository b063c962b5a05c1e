"""The page as a browser sees it, without a network."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlparse

import pytest
from fake_sweep import quickstart, simple_sweep
from test_report_formats import Page, hostile_sweep
from test_report_settings import sweep as two_settings

from lit_seq.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

# Chromium's own errands, which no switch turns off.
HOUSEKEEPING = ("google.com", "googleapis.com")


class Visit:
    """What Chromium made of a page."""

    def __init__(self, page: Path, folder: Path, *switches: str) -> None:
        folder.mkdir()
        command = [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={folder / 'net.json'}",
            *("--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom"),
            *switches,
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        self.dom = done.stdout
        self.console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        log = json.loads((folder / "net.json").read_text())
        urls = {event.get("params", {}).get("url", "") for event in log["events"]}
        hosts = {urlparse(url).hostname or "" for url in urls if url.startswith(("http", "ws"))}
        self.hosts = {host for host in hosts if not host.endswith(HOUSEKEEPING)}

    def chart(self, name: str) -> str:
        """Return the markup of one chart."""
        start = self.dom.index(f'id="{name}"')
        return self.dom[start : self.dom.index("</figure>", start)]


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    return Visit(write_report(quickstart(folder / "quick", seeds=3)), folder / "visit")


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diverged")
    sweep = simple_sweep(
        folder / "s",
        {"A": {1: 1.0, 2: 1.1, 3: 1e30}},
        state=lambda cell, seed: ("diverged", "nan") if seed == 3 else ("finished", None),
    )
    return Visit(write_report(sweep), folder / "visit")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Two settings, a threshold, diverged trials: every chart that there is."""
    folder = tmp_path_factory.mktemp("full")
    fate = lambda clip, rate, seed: "diverged" if clip is None and rate == 0.1 else "finished"  # noqa: E731
    sweep = two_settings(folder / "s", fate, seeds=5)
    (folder / "r.yaml").write_text(f"runs: ['{sweep}']\nthreshold: 1.1\ncompare_by: [clip]\n")
    return Visit(write_report(folder / "r.yaml"), folder / "visit", "--window-size=390,844")


READER = """
const state = {};
const click = (selector) => document.querySelector(selector).click();
const rows = () => [...document.querySelectorAll("#table tbody tr")];
const first = () => rows().map((row) => row.cells[0].textContent.trim());
click('[data-for="curves-0"] [data-choice="log"]');
click('[data-for="curves-0"] [data-unit="seconds"]');
const axes = document.getElementById("curves-0")._fullLayout;
state.scale = axes.yaxis.type;
state.time = [axes.xaxis.title.text, Math.max(...document.getElementById("curves-0").data.at(-1).x)];
click('[data-for="curves-0"] [data-unit="seconds"]');
state.back = [document.getElementById("curves-0")._fullLayout.xaxis.title.text];
click("#table th:nth-child(2) .sort");
state.ascending = first();
click("#table th:nth-child(2) .sort");
state.descending = first();
dispatchEvent(new Event("beforeprint"));
const chart = document.querySelector("#intervals-0 .main-svg");
state.printed = [document.querySelector("details").open, chart.width.baseVal.value];
dispatchEvent(new Event("afterprint"));
state.after = document.querySelector("details").open;
Plotly.toImage("curves-0", { format: "png", scale: 3 }).then((image) => {
  state.image = image.slice(0, 22);
  document.body.dataset.state = JSON.stringify(state);
});
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """What a reader's clicks do: the same page with a script that clicks."""
    folder = tmp_path_factory.mktemp("used")
    sweep = quickstart(folder / "quick", seeds=2)
    page = write_report(sweep)
    source = page.read_text()
    permit = base64.b64encode(hashlib.sha256(READER.encode()).digest()).decode()
    source = source.replace("script-src ", f"script-src &#39;sha256-{permit}&#39; ", 1)
    page.write_text(source.replace("</body>", f"<script>{READER}</script></body>"))
    visit = Visit(page, folder / "visit")
    assert visit.console == []
    [state] = [a["data-state"] for tag, a in Page(visit.dom).tags if tag == "body"]
    return json.loads(state)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return Visit(write_report(hostile_sweep(folder / "s")), folder / "visit", "--window-size=390,844")


def test_nothing_is_wrong_in_the_console(visit, hostile):
    assert (visit.console, hostile.console) == ([], [])


def test_nothing_is_asked_of_the_network(visit, hostile):
    assert (visit.hosts, hostile.hosts) == (set(), set())


@pytest.mark.parametrize("name", ["curves-0", "curves-1"])
def test_every_curve_is_drawn(visit, name):
    chart = visit.chart(name)
    lines = re.findall(r'<path class="js-line"[^>]* d="(M[^"]+)"', chart)
    # 3 configurations: a mean, 3 trials and the edge of a band each; lines of the legend are short.
    assert len([line for line in lines if len(line) > 40]) == 3 * (1 + 3 + 1)
    assert len(re.findall(r'class="js-fill"', chart)) == 3
    assert {"GRU", "LSTM", "Elman"} <= set(re.findall(r'class="legendtext"[^>]*>([^<]+)<', chart))
    assert "Optimiser steps" in chart


def test_intervals_are_drawn(visit):
    chart = visit.chart("intervals-0")
    assert len(re.findall(r'class="xerror"', chart)) == 3
    assert len(re.findall(r'<path class="point"', chart)) == 3 * (1 + 3)


@pytest.mark.parametrize(
    ("name", "drawn", "times"),
    [
        ("intervals-0", r'class="xerror"', 3),
        # A line each, and the shorter ones of the legend.
        ("updates-0", r'<path class="js-line"', 3 * 2),
        ("heat_map-0", r'class="annotation-text"', 9),
        # Eight shades of trials that count, and those that diverged.
        ("coordinates-0", r'<path class="js-line"', 9),
        ("importance-0", r'<g class="point">', 2),
        ("profile-0", r'class="js-fill"', 3),
    ],
)
def test_every_chart_is_drawn(full, name, drawn, times):
    assert full.console == []
    assert len(re.findall(drawn, full.chart(name))) >= times


def test_mark_of_a_diverged_trial_is_drawn_at_the_edge_of_the_chart(diverged):
    # Three logged values on the mean's line, and the mark; plotly hides marks that lie outside the axes.
    marks = re.findall(r'<path class="point"[^>]*>', diverged.chart("curves-0"))
    assert len([mark for mark in marks if 'display="none"' not in mark]) == 3 + 1
    assert "diverged here" in diverged.chart("curves-0")
    assert diverged.console == []


def test_axes_can_be_chosen(used):
    assert used["scale"] == "log"
    # The worst configuration is drawn last: Elman's two trials took 18.1 s and 18.2 s.
    assert used["time"] == ["Training time (s)", pytest.approx(18.15)]
    assert used["back"] == ["Optimiser steps"]


def test_table_can_be_sorted(used):
    best_first = [name.partition(" ")[0] for name in used["ascending"]]
    assert used["descending"] == used["ascending"][::-1]
    assert len(set(best_first)) == 3


def test_print_opens_what_is_folded_and_fits_the_page(used):
    assert used["printed"] == [True, 660]
    assert used["after"] is False


def test_chart_can_be_saved_as_an_image(used):
    assert used["image"] == "data:image/png;base64,"


def test_hostile_texts_stay_texts(hostile):
    page = Page(hostile.dom)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    images = {a.get("src") or a.get("href") for tag, a in page.tags if tag in ("img", "image")}
    assert not any("evil" in (image or "") for image in images)
    assert not [a for tag, a in page.tags if tag == "a" and "evil" in json.dumps(a)]
    assert "<script>alert(1)" in Page(hostile.chart("curves-0")).text


def test_charts_fit_a_phone(hostile):
    widths = [int(w) for w in re.findall(r'class="main-svg"[^>]* width="(\d+)"', hostile.dom)]
    assert widths
    assert max(widths) <= 500  # Chromium's narrowest window is 500 wide on some builds.
