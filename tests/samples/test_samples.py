"""Samples keep what they say on their way through a file, and are drawn as they say."""

import json
import re
from html.parser import HTMLParser

import pytest

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
    from_line,
    to_line,
    views,
)

PNG = "data:image/png;base64,AAAA"

LOOKED = Alignment(["le", "chien"], ["the", "cat"], [[1, 0], [0.25, 0.75]])

SAMPLES = [
    Writing("To", 0.8, "be or <not>"),
    Answer(
        "the cat",
        "le chat",
        "le chien",
        None,
        Alignment(["le", "chien"], ["the", "cat"], [[1, 0], [0.25, 0.75]]),
    ),
    Answer("", "a red box", "a red box", PNG, Alignment(["a"], [], [[0.1, 0.2, 0.3, 0.4]], (2, 2))),
    Tags(["dogs", "bark", "!"], ["NOUN", "VERB", None], ["NOUN", "NOUN", "X"]),
    TreeLabels(["", "not", "bad"], [-1, 0, 0], ["+", None, "-"], ["+", "0", "+"]),
    Series("spots", ["a", "b"], [[1, 2], [2, 3]], [[3, 4]], [[3, 5]], [[2, 4]], [[4, 6]], 0.9),
    Map("latent", [(0, 0), (1, 2), (2, 1)], ["walk", "walk", "rest"]),
    Matrix("transitions", ["0", "1"], ["0", "1"], [[0.9, 0.1], [0.4, 0.6]]),
    Statement("Has settled & stays."),
]
ids = [f"{type(sample).__name__}{place}" for place, sample in enumerate(SAMPLES)]


class Fragment(HTMLParser):
    """Checks that tags close in order, and keeps what can be seen."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("sample", SAMPLES, ids=ids)
def test_a_sample_is_the_same_behind_a_file(sample):
    line = json.loads(json.dumps({"step": 3, "moment": "end", **to_line(sample)}))
    assert from_line(line) == sample


@pytest.mark.parametrize("sample", SAMPLES, ids=ids)
def test_a_view_is_whole_and_stands_alone(sample):
    view = views.html(sample)
    fragment = Fragment(view)
    assert "script" not in fragment.tags
    assert "://" not in view
    assert views.text(sample)


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "poem", "text": "x"},
        {"text": "x"},
        {"kind": "writing", "text": "x"},
        {"kind": "tags", "tokens": ["a"], "target": ["b", "c"], "output": ["d"]},
        {"kind": "tree", "tokens": ["a"], "parents": [3], "target": ["b"], "output": ["d"]},
        {"kind": "series", "title": "", "features": ["a"], "past": [], "target": [[1, 2]], "output": []},
        {"kind": "matrix", "title": "", "rows": ["a"], "columns": ["b"], "values": []},
        {"kind": "map", "title": "", "points": [[1, 2]], "groups": []},
    ],
)
def test_a_damaged_line_is_no_sample(line):
    with pytest.raises(ValueError):
        from_line(line)


def test_wrong_answers_are_told_from_right_ones_in_words():
    wrong, right = SAMPLES[1], SAMPLES[2]
    assert views.text(wrong) == "the cat → le chien (right: le chat)"
    assert views.text(right) == "→ a red box"
    assert "✗" in views.html(wrong)
    assert "✗" not in views.html(right)
    assert views.text(SAMPLES[3]) == "dogs/NOUN bark/NOUN (right: VERB) !/X"
    assert views.text(SAMPLES[4]) == "(+ (0 not) (+ (right: -) bad))"


def test_weights_are_as_dark_as_they_are_large():
    shades = [float(shade) for shade in re.findall(r'fill-opacity="([.\d]+)"', views.html(SAMPLES[7]))]
    assert shades == pytest.approx([1, 0.11, 0.44, 0.67], abs=0.01)


def test_a_picture_has_a_square_for_each_place_and_word():
    assert views.html(SAMPLES[2]).count("<rect") == 4
    assert f'<img src="{PNG}"' in views.html(SAMPLES[2])


def test_an_image_from_elsewhere_is_not_asked_for():
    assert "<img" not in views.html(Answer("", "a", "b", "http://example.com/x.png"))


def test_the_band_lies_between_its_edges():
    [first, second] = re.findall(r'<polygon points="([^"]+)"', views.html(SAMPLES[5]))
    for band in (first, second):
        high, low = (float(point.split(",")[1]) for point in band.split())
        assert high < low


def test_groups_differ_in_colour():
    marks = re.findall(r'<circle[^>]*fill="(#\w+)"', views.html(SAMPLES[6]))
    # Points, then the key: rest, walk.
    assert marks[0] == marks[1] == marks[4]
    assert marks[2] == marks[3] != marks[0]


def test_a_node_stands_over_the_middle_of_its_children():
    tree = TreeLabels(["", "a", "", "b", "c"], [-1, 0, 0, 2, 2], [None] * 5, list("RALBC"))
    at = {word: float(x) for x, word in re.findall(r'x="([.\d]+)"[^>]*>([RALBC])<', views.html(tree))}
    assert at["L"] == pytest.approx((at["B"] + at["C"]) / 2)
    assert at["R"] == pytest.approx((at["A"] + at["L"]) / 2)
    assert at["A"] < at["B"] < at["C"]
