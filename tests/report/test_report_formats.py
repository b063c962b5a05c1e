import json
import math
import re
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest
import yaml
from fake_sweep import learning_rows, play_samples, quickstart, simple_sweep, write_sweep, write_trial
from plotly import graph_objects
from scipy import stats

from lit_seq.cli import main
from lit_seq.errors import UserError
from lit_seq.report import write_report
from lit_seq.report.captions import comparison, curves, progress
from lit_seq.report.document import build
from lit_seq.report.figures import intervals, learning_curves
from lit_seq.report.plan import SECTIONS, Plan
from lit_seq.report.style import styles
from lit_seq.report.wording import alike, duration, number
from lit_seq.samples import (
    Alignment,
    Answer,
    Map,
    Matrix,
    Series,
    Statement,
    Tags,
    TreeLabels,
    Writing,
    to_line,
)

HOSTILE = "</script><script>alert(1)</script><img src=http://evil.invalid/x onerror=alert(2)>%{x}{{7*7}}|`'\""

HOSTILE_SAMPLES = [
    Writing(HOSTILE, 1.0, HOSTILE + "\ud800"),
    Answer(HOSTILE, HOSTILE, HOSTILE[1:], HOSTILE, Alignment([HOSTILE], [HOSTILE], [[1.0]])),
    Answer(HOSTILE, HOSTILE, HOSTILE[1:], None, Alignment([HOSTILE], [], [[0.5, 0.5]], (1, 2))),
    Tags([HOSTILE], [HOSTILE[1:]], [HOSTILE]),
    TreeLabels([HOSTILE, HOSTILE], [-1, 0], [HOSTILE, None], [HOSTILE, HOSTILE]),
    Series(HOSTILE, [HOSTILE], [[1.0]], [[math.nan]], [[2.0]], [[1.0]], [[3.0]], 0.9),
    Map(HOSTILE, [(0.0, 1.0)], [HOSTILE]),
    Matrix(HOSTILE, [HOSTILE], [HOSTILE], [[math.inf]]),
    Statement(HOSTILE),
]


class Page(HTMLParser):
    """Tags, and text outside script and style."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.text, self._inside = [], "", ""
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data


def without_engine(source):
    """Cut plotly.js, the longest line, out of a page."""
    return re.sub(r"<script>\s*/\*\*.*?</script>", "<script></script>", source, flags=re.DOTALL)


def hostile_sweep(folder):
    """Write a sweep in which everything that can be text is an attack."""
    metric = f"val/{HOSTILE}"
    write_sweep(
        folder, {"cell": [1, 2], "seed_everything": [1, 2]}, (metric, "minimize"), description=HOSTILE
    )
    environment = {
        "command": HOSTILE,
        "commit": HOSTILE,
        "devices": [HOSTILE],
        "versions": {HOSTILE: HOSTILE},
    }
    (folder / "environment.json").write_text(json.dumps(environment | {HOSTILE: HOSTILE}))
    for index in range(4):
        overrides = {f"cell{HOSTILE}": f"{index // 2}{HOSTILE}", "seed_everything": index % 2}
        rows = [{"step": s, "epoch": 0, metric: 1 / s + index, "train/loss": 1 / s} for s in range(1, 9)]
        write_trial(
            folder / "trials" / f"{index}<script>alert(3)<",
            overrides,
            rows,
            state="failed" if index == 3 else "finished",
            reason=HOSTILE if index == 3 else None,
            samples=[{"step": 1, "moment": HOSTILE, **to_line(one)} for one in HOSTILE_SAMPLES],
            config={"wandb": {"group": HOSTILE}},
        )
    return folder


def test_page_is_one_file_that_asks_for_nothing_else(tmp_path):
    source = write_report(quickstart(tmp_path / "quick")).read_text()
    page = Page(source)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert not [tag for tag, a in page.tags if tag in ("link", "img", "iframe") or "src" in a]
    assert "://" not in without_engine(source)
    assert "url(" not in without_engine(source)
    [policy] = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert len(source) < 5.1e6


def test_everything_that_comes_from_data_is_escaped(tmp_path):
    source = write_report(hostile_sweep(tmp_path / "s")).read_text()
    page = Page(source)
    assert [tag for tag, _ in page.tags].count("script") == 3
    assert "img" not in {tag for tag, _ in page.tags}
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    assert all(a["href"].startswith("trials/") or a["href"] == "./" for tag, a in page.tags if tag == "a")
    assert page.text.count(HOSTILE) >= 8
    assert "49" not in re.findall(r"\{\{.*?\}\}", page.text)
    # Plotly reads HTML in labels: in the data of the figures no label may hold a tag.
    data = re.search(r'id="figures">(.*?)</script>', source, flags=re.DOTALL)[1]
    names = [
        trace.get("name", "") for figure in json.loads(data)["figures"].values() for trace in figure["data"]
    ]
    assert any("&lt;script&gt;" in name for name in names)
    assert not any("<" in name for name in names)


def test_links_lead_to_the_run_folders_from_where_the_report_lies(tmp_path):
    sweep = quickstart(tmp_path / "quick", seeds=1)
    source = write_report(sweep, tmp_path / "elsewhere" / "deep" / "r.html").read_text()
    links = {a["href"] for tag, a in Page(source).tags if tag == "a"}
    assert "../../quick/trials/0000/" in links
    assert (tmp_path / "elsewhere" / "deep" / "../../quick/trials/0000/config.yaml").exists()


def test_sections_are_chosen_and_ordered_by_the_report_file(tmp_path):
    sweep = quickstart(tmp_path / "quick", seeds=1)
    file = tmp_path / "r.yaml"
    file.write_text(f"runs: ['{sweep}']\nsections: [table, answer]\n")
    target = write_report(file)
    assert target == sweep / "report.html"
    sections = [a["id"] for tag, a in Page(target.read_text()).tags if tag == "section"]
    assert sections == ["table", "answer"]


@pytest.mark.parametrize("configurations", [1, 3, 9, 30])
def test_figures_are_valid_plotly(tmp_path, configurations):
    floors = {f"N{i}": 1 + i / 10 for i in range(configurations)}
    document = build(Plan(runs=[str(quickstart(tmp_path / "s", 2, floors))]))
    own = dict(zip((row.label for row in document.rows), styles(configurations), strict=True))
    for panel in document.panels:
        figure = learning_curves(panel, own)
        graph_objects.Figure(figure.data, figure.layout)
        assert set(figure.paces) == {"seconds"}
        assert {len(figure.data)} == {len(paces) for paces in figure.paces.values()}
        names = {trace["name"] for trace in figure.data if "name" in trace and trace.get("showlegend", True)}
        assert len(names) == (configurations if configurations <= 12 else 6)
    chart = intervals(document.rows, document.judge.title, own)
    if chart is not None:
        graph_objects.Figure(chart.data, chart.layout)
    assert (chart is None) == (configurations == 1)


def test_each_of_twelve_configurations_looks_its_own_way_even_without_colour():
    looks = {(style.dash, style.marker) for style in styles(12)}
    assert len(looks) == 12
    assert len({(style.colour, style.dash) for style in styles(12)}) == 12
    assert [style.plain for style in styles(20)] == [False] * 6 + [True] * 14


def test_diverged_curve_does_not_flatten_the_others(tmp_path):
    sweep = simple_sweep(
        tmp_path / "s",
        {"A": {1: 1.0, 2: 1.1, 3: 1e30}},
        state=lambda cell, seed: ("diverged", "nan") if seed == 3 else ("finished", None),
    )
    document = build(Plan(runs=[str(sweep)]))
    [panel] = document.panels
    figure = learning_curves(panel, {"s": styles(1)[0]})
    low, high = figure.layout["yaxis"]["range"]
    assert low < 1.0 < 2.1 < high < 3
    [end] = [trace for trace in figure.data if trace.get("name") == "diverged here"]
    assert 0.99 * high < end["y"][0] < high
    assert "in no mean" in curves(panel)


def test_captions_say_what_bands_and_numbers_are(tmp_path):
    document = build(Plan(runs=[str(quickstart(tmp_path / "s", seeds=2))]))
    assert "Bands: the range from the lowest to the highest" in curves(document.panels[0])
    assert "95 % Student's t interval" in comparison(document)
    assert "best value over training" in comparison(document)
    assert progress(document) == "All 6 trials finished."
    document.states, document.missing = {"finished": 4, "running": 1, "diverged": 1}, 2
    assert progress(document) == "4 of 8 trials finished; 1 running, 1 diverged and 2 not started."


def test_json_holds_full_numbers_and_is_strict(tmp_path):
    sweep = simple_sweep(tmp_path / "s", {"A": {1: 1 / 3, 2: 2 / 3}, "B": {1: 5.0}})
    with (sweep / "trials" / "0002" / "metrics.csv").open("a") as file:
        file.write("400,0,nan\n")
    text = write_report(sweep, format="json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    row = content["rows"][0]
    assert row["scores"] == [1 / 3, 2 / 3]
    low, high = stats.t.interval(0.95, 1, loc=0.5, scale=stats.sem([1 / 3, 2 / 3]))
    assert (row["interval"]["low"], row["interval"]["high"]) == pytest.approx((low, high))
    assert content["trials"][2]["score"]["final"] is None


def test_markdown_tables_hold_together(tmp_path):
    text = write_report(quickstart(tmp_path / "quick"), format="md").read_text()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    # Comparison, two by two, cost: each with a header and a rule.
    assert [len(table) for table in tables] == [5, 5, 5]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)
    assert "```text\nGLOUCESTER:\nWhat say you" in text
    hostile = write_report(hostile_sweep(tmp_path / "s"), format="md").read_text()
    outside = re.sub(r"(`{3,})\w+\n.*?\n\1", "", hostile, flags=re.DOTALL)
    assert "<" not in outside
    for block in outside.split("\n\n"):
        if block.startswith("|"):
            assert len({re.sub(r"\\\|", "", line).count("|") for line in block.splitlines()}) == 1


def one_of(state):
    return lambda folder: simple_sweep(folder, {"A": {1: 1.0}, "B": {1: 2.0}}, state=lambda *_: (state, None))


def nothing_logged(folder):
    write_sweep(folder, {"model.core.cell": ["A"], "seed_everything": [1, 2]})
    write_trial(folder / "trials" / "0", {"model.core.cell": "A"}, [], state="queued")
    (folder / "trials" / "0" / "config.yaml").unlink()
    return folder


def nothing_but_nan(folder):
    write_sweep(folder, {"lr": [1, 2]}, ("val/loss", "minimize"))
    for rate in (1, 2):
        rows = [{"step": 1, "epoch": 0, "val/loss": math.nan}]
        write_trial(folder / "trials" / str(rate), {"lr": rate}, rows)
    return folder


def half_done(folder):
    """Two sweeps of different tasks; of one, a trial has not begun and another lacks the metric."""
    for task in ("Adding", "Copying"):
        own = simple_sweep(folder / task, {"A": {1: 1.0, 2: 1.1}, "B": {1: 2.0, 2: 2.2}})
        for trial in (own / "trials").iterdir():
            config = (trial / "config.yaml").read_text()
            (trial / "config.yaml").write_text(f"{config}data:\n  class_path: lit_seq.data.{task}\n")
    (own / "trials" / "0003" / "config.yaml").unlink()
    (own / "trials" / "0003" / "status.json").write_text('{"state": "queued", "overrides": {"x": 1}}')
    (own / "trials" / "0002" / "metrics.csv").write_text("step,epoch,train/loss\n1,0,1\n")
    return folder


@pytest.mark.parametrize("sections", [None, list(SECTIONS)])
@pytest.mark.parametrize(
    "sweep",
    [one_of("running"), one_of("diverged"), one_of("stopped"), nothing_logged, nothing_but_nan, half_done],
)
def test_report_over_what_is_not_what_it_should_be(tmp_path, sweep, sections):
    folder = sweep(tmp_path / "s")
    file = tmp_path / "r.yaml"
    content = {"runs": [str(folder)], "threshold": 0.5} | ({"sections": sections} if sections else {})
    file.write_text(yaml.safe_dump(content))
    page = Page(write_report(file, tmp_path / "r.html").read_text())
    shown = [a["id"] for tag, a in page.tags if tag == "section"]
    # What was asked for is there, be it to say why there is nothing; what models say needs samples.
    assert sections is None or shown == [name for name in sections if name != "samples"]
    assert write_report(file, tmp_path / "r.md", "md").read_text().startswith("# ")
    json.loads(write_report(file, tmp_path / "r.json", "json").read_text())


def test_half_of_two_tasks_says_what_is_missing(tmp_path):
    document = build(Plan(runs=[str(half_done(tmp_path / "s"))]))
    assert document.tasks == ["Adding", "Copying"]
    assert [(row.task, row.label, row.counted, row.trials) for row in document.rows] == [
        ("Adding", "A", 2, 2),
        ("Adding", "B", 2, 2),
        ("Copying", "A", 2, 2),
        ("Copying", "B", 0, 1),
    ]
    assert progress(document) == "7 of 8 trials finished; 1 queued."
    assert [trial.label for trial in document.trials][-1] == "unknown"


def test_command_writes_beside_the_runs_and_says_where(tmp_path, capsys):
    sweep = quickstart(tmp_path / "quick", seeds=1)
    assert main(["report", str(sweep)]) == 0
    assert capsys.readouterr().out.strip() == str(sweep / "report.html")
    assert main(["report", str(sweep), "--format", "md", "-o", str(tmp_path / "x.md")]) == 0
    assert (tmp_path / "x.md").read_text().startswith("# quick\n")


def test_command_refuses_in_one_sentence(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "holds no trial" in error


def test_place_that_cannot_be_written_is_told(tmp_path):
    sweep = quickstart(tmp_path / "quick", seeds=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another place with -o"):
        write_report(sweep, tmp_path / "file" / "r.html", "json")
    with pytest.raises(UserError, match="allowed: html, md, json"):
        write_report(sweep, format="pdf")


def test_report_needs_no_training_code(tmp_path):
    sweep = quickstart(tmp_path / "quick", seeds=1)
    code = (
        "import sys, pathlib; from lit_seq.report import write_report;"
        f"write_report(pathlib.Path({str(sweep)!r}));"
        "print([name for name in ('torch', 'lightning', 'wandb', 'optuna') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_three_hundred_trials_in_time_and_size(tmp_path):
    sweep = tmp_path / "big"
    rates = [round(1e-4 * 1.07**i, 7) for i in range(100)]
    write_sweep(sweep, {"model.core.cell": ["Elman", "GRU", "LSTM"], "optimizer.lr": rates})
    for index in range(300):
        cell, rate = ["Elman", "GRU", "LSTM"][index % 3], rates[index // 3]
        floor = 2 + 0.3 * abs(math.log10(rate) + 2)
        rows = learning_rows(floor, index, steps=1000, every=2, validate=20)
        overrides = {"model.core.cell": cell, "optimizer.lr": rate, "seed_everything": 1}
        write_trial(sweep / "trials" / f"{index:04d}", overrides, rows, samples=play_samples(1000))
    start = time.process_time()
    target = write_report(sweep)
    assert time.process_time() - start < 10
    assert target.stat().st_size < 6e6


@pytest.mark.slow
def test_thousand_trials_with_every_section_in_time(tmp_path):
    sweep = tmp_path / "big"
    rates, clips = [round(1e-4 * 1.3**i, 7) for i in range(20)], [None, *(0.01 * 3**i for i in range(9))]
    write_sweep(sweep, {"clip": clips, "optimizer.lr": rates, "seed_everything": range(5)})
    for index in range(1000):
        clip, rate, seed = clips[index % 10], rates[index // 10 % 20], index // 200
        floor = 2 + 0.3 * abs(math.log10(rate) + 2) + (clip is None) / 10
        overrides = {"clip": clip, "optimizer.lr": rate, "seed_everything": seed}
        rows = learning_rows(floor, index, steps=1000, every=10, validate=50)
        write_trial(sweep / "trials" / f"{index:04d}", overrides, rows)
    (tmp_path / "r.yaml").write_text(f"runs: ['{sweep}']\nthreshold: 2.5\ncompare_by: [clip]\n")
    for source in (sweep, tmp_path / "r.yaml"):
        start = time.process_time()
        write_report(source)
        assert time.process_time() - start < 30


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (1.75, "1.750"),
        (-0.5, "−0.5000"),
        (123456.0, "123456"),
        (float("nan"), "NaN"),
        (1234.0, "1234"),
        (1e-7, "1.000e−07"),
        (0.0, "0.000"),
        (float("-inf"), "−∞"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_numbers_alike_and_durations():
    assert alike([0.0902, -0.0363], 0.126) == ["0.09", "−0.04"]
    assert alike([12.0, 3.0], 0.0) == ["12.0", "3.00"]
    assert [duration(s) for s in (None, 0.5, 119.0, 125.0, 7300.0)] == [
        "–",
        "0.500 s",
        "119 s",
        "2 min 05 s",
        "2 h 01 min",
    ]
