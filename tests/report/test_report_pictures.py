"""Pictures beside a Markdown report, as a browser draws them."""

import re

import pytest
from fake_sweep import quickstart, simple_sweep
from PIL import Image
from test_report_browser import CHROMIUM

from lit_seq.cli import main
from lit_seq.report import write_report

LINK = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")
BLUE = (0x00, 0x72, 0xB2)


def test_markdown_without_a_browser_says_why_it_has_no_figures(tmp_path):
    text = write_report(quickstart(tmp_path / "quick", seeds=1), tmp_path / "r.md", "md").read_text()
    assert text.endswith("*Figures are left out: there is no Chrome or Chromium on this machine.*\n")
    assert not LINK.search(text)
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_pictures_lie_beside_the_file_and_are_drawn_in_the_colours_of_the_page(tmp_path):
    sweep, target = quickstart(tmp_path / "quick", seeds=3), tmp_path / "out" / "my report.md"
    assert main(["report", str(sweep), "--format", "md", "-o", str(target)]) == 0
    links = LINK.findall(target.read_text())
    folder = target.parent / "my report"
    names = ["curves-0.png", "curves-1.png", "intervals-0.png", "profile-0.png"]
    assert [link for _, link in links] == [f"my%20report/{name}" for name in names]
    assert links[0][0] == "Curves of GRU, LSTM and Elman: Validation bits per character"
    assert sorted(file.name for file in folder.iterdir()) == names
    for file in folder.iterdir():
        assert file.stat().st_size < 150_000
        with Image.open(file) as picture:
            colours = picture.convert("RGB").getcolors(1 << 24)
            assert picture.size[0] == 1800
        # A light page, on which the best configuration is drawn in blue.
        assert max(colours)[1] == (255, 255, 255)
        assert sum(n for n, colour in colours if max(map(abs, map(int.__sub__, colour, BLUE))) < 16) > 300


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_no_more_than_ten_pictures_are_drawn(tmp_path):
    for task in range(6):
        own = simple_sweep(tmp_path / "s" / f"T{task}", {"A": {1: 1.0, 2: 1.1}, "B": {1: 2.0, 2: 2.2}})
        for trial in (own / "trials").iterdir():
            with (trial / "config.yaml").open("a") as file:
                file.write(f"data:\n  class_path: my.T{task}\n")
    text = write_report(tmp_path / "s", tmp_path / "r.md", "md").read_text()
    assert len(LINK.findall(text)) == len(list((tmp_path / "r").iterdir())) == 10
    assert text.endswith("*3 more charts in the HTML report.*\n")
