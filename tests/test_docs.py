"""The pages of docs/ agree with the docstrings, name every class, and their commands are right."""

import inspect
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest

from lit_seq.configuration import parse
from lit_seq.listing import CLASSES

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))
import build  # noqa: E402

PAGES = build.pages()
ENTRIES = [entry for page in PAGES for entry in page.entries]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file)
def test_page_is_up_to_date(page: build.Page) -> None:
    assert (DOCS / page.file).read_text() == build.render(page), "run: python docs/build.py"


def test_index_is_up_to_date() -> None:
    assert (DOCS / "README.md").read_text() == build.index(PAGES), "run: python docs/build.py"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_a_page(kind: str) -> None:
    package, name = CLASSES[kind]
    module = import_module(package)
    base = getattr(module, name)
    public = [getattr(module, name) for name in module.__all__]
    classes = {c for c in public if inspect.isclass(c) and issubclass(c, base) and not inspect.isabstract(c)}
    assert classes <= {entry.kind for entry in ENTRIES}


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.command], ids=lambda entry: entry.name)
def test_command_is_right_and_has_drawn_its_curve(entry: build.Entry) -> None:
    words = shlex.split(entry.command)
    assert words[:2] == ["lit-seq", "fit"]
    config = parse(words[1:])
    assert entry.name in str(config), "the command trains something else"
    assert "<svg" in (DOCS / "curves" / f"{entry.name}.svg").read_text()
