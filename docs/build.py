"""Write the pages of docs/ from docstrings, and draw the learning curves of the commands on them.

    python docs/build.py                  # pages only; tests/test_docs.py checks that they are up to date
    python docs/build.py --train [NAME …] # run the commands and draw their curves as well, some minutes

families.yaml says which classes are on which page and by which command each is trained; titles, equations,
options and sources are those of the docstrings.
"""

import argparse
import csv
import inspect
import math
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import docstring_parser
import yaml

HERE = Path(__file__).parent
GUIDES = {
    "studies.md": "the classic studies: what is asked, what came out, where it differs from the paper",
    "wandb.md": "Weights & Biases: sweeps, agents, resuming, checkpoints as artifacts",
    "wandb-reports.md": "reports of runs at W&B, and reports saved there",
    "clusters.md": "several GPUs and machines on one sweep, SLURM",
    "distributed.md": "one model on several GPUs",
    "bad-input.md": "what a user sees of bad input",
}
"""Pages that are written by hand, or by another command."""


@dataclass(frozen=True)
class Entry:
    """A class and the command that trains it.

    Attributes:
        kind: the class.
        command: `lit-seq fit` command line, without --runs_dir and --name; empty where another entry's does.
        metric: what its curve shows.
        note: a sentence under the curve.
    """

    kind: type
    command: str
    metric: str
    note: str

    @property
    def name(self) -> str:
        """Name of the class, its curve and its run."""
        return self.kind.__name__


@dataclass(frozen=True)
class Page:
    """A family of classes.

    Attributes:
        file: name of the page's file.
        title: its heading.
        text: when to use the family.
        entries: its classes.
    """

    file: str
    title: str
    text: str
    entries: tuple[Entry, ...]


def pages() -> list[Page]:
    """Return the pages that families.yaml asks for."""
    content = yaml.safe_load((HERE / "families.yaml").read_text(encoding="utf-8"))
    return [
        Page(file, page["title"], page["text"], tuple(_entries(page["classes"])))
        for file, page in content.items()
    ]


def _entries(classes: dict[str, Any]) -> Iterator[Entry]:
    for path, settings in classes.items():
        module, _, name = path.rpartition(".")
        settings = settings or {}
        command = " ".join(settings.get("command", "").split())
        metric, note = settings.get("metric", "val/loss"), settings.get("note", "")
        yield Entry(getattr(import_module(f"lit_seq.{module}"), name), command, metric, note)


def render(page: Page) -> str:
    """Return a page as Markdown."""
    parts = [f"# {page.title}", page.text.strip()]
    for entry in page.entries:
        parts += [f"## {entry.name}", *_describe(entry.kind)]
        if entry.command:
            parts.append(f"```bash\n{_folded(entry.command)}\n```")
            parts.append(f"![{entry.metric} of {entry.name} against the step](curves/{entry.name}.svg)")
        if entry.note:
            parts.append(entry.note.strip())
    return "\n\n".join(parts) + "\n"


def index(all_pages: list[Page]) -> str:
    """Return the first page as Markdown."""
    rows = [
        f"| [{page.title}]({page.file}) | {', '.join(f'`{entry.name}`' for entry in page.entries)} |"
        for page in all_pages
    ]
    return "\n".join(
        [
            "# The parts of lit-seq",
            "",
            "A page a family: equations, options, a command that trains it, and the curve that this command",
            "drew. All of it is written by `python docs/build.py --train` from the docstrings and from",
            "`families.yaml`.",
            "",
            "| page | classes |",
            "|---|---|",
            *rows,
            "",
            "| guide | to |",
            "|---|---|",
            *(f"| [{file.removesuffix('.md')}]({file}) | {text} |" for file, text in GUIDES.items()),
            "",
        ]
    )


def _describe(kind: type) -> Iterator[str]:
    """Yield summary, description and options of a class, from its docstring."""
    head, _, rest = (inspect.getdoc(kind) or "").partition("\n\n")
    yield " ".join(head.split())
    body = rest.split("\nArgs:")[0].split("\nAttributes:")[0].strip("\n")
    if body and not body.startswith(("Args:", "Attributes:")):
        yield _code_blocks(body)
    rows = [f"| `{name}` | {default} | {text} |" for name, (default, text) in _options(*kind.__mro__).items()]
    if rows:
        yield "\n".join(["| option | default | |", "|---|---|---|", *rows])


def _options(kind: type, *behind: type) -> dict[str, tuple[str, str]]:
    """Return default and description of a class's options, those that it passes on included.

    Args:
        kind: the class.
        behind: the classes behind it in the order in which `super` finds them.
    """
    parameters = inspect.signature(kind).parameters
    documented = docstring_parser.parse(inspect.getdoc(kind) or "", docstring_parser.DocstringStyle.GOOGLE)
    options = {}
    for one in documented.params:
        parameter = parameters.get(one.arg_name)
        if parameter is None or one.arg_name in ("input_size", "hidden_size", "task"):
            continue
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            options[one.arg_name] = _default(parameter), _cell(one.description or "")
        else:
            place = next(place for place, base in enumerate(behind) if "__init__" in vars(base))
            passed = _options(*behind[place:])
            options |= {name: option for name, option in passed.items() if name not in options}
    return options


def _code_blocks(text: str) -> str:
    """Put what is indented, the equations, into fenced blocks."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        indented = line.startswith("    ") or (inside and not line)
        if indented != inside:
            while inside and lines[-1] == "":
                lines.pop()
            lines += ["```", ""] if inside else ["```text"]
            inside = indented
        lines.append(line.removeprefix("    ") if inside else line)
    while lines[-1] == "":
        lines.pop()
    return "\n".join([*lines, *(["```"] if inside else [])])


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return ""
    value = parameter.default
    return f"`{value.__name__ if isinstance(value, type) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _folded(command: str) -> str:
    """Break a command before options, so that it fits the page."""
    lines, line = [], ""
    for word in shlex.split(command):
        word = shlex.quote(word)
        if len(line) + len(word) > 95 and word.startswith("--"):
            lines.append(line.rstrip())
            line = "    "
        line += word + " "
    return " \\\n".join([*lines, line.rstrip()])


def train(entry: Entry) -> None:
    """Run an entry's command and draw its curve."""
    with tempfile.TemporaryDirectory() as runs:
        words = [*shlex.split(entry.command), "--runs_dir", runs, "--name", entry.name]
        words += ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]
        subprocess.run([sys.executable, "-m", "lit_seq", *words[1:]], check=True)
        with (Path(runs) / entry.name / "metrics.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    draw(entry, rows)


def draw(entry: Entry, rows: list[dict[str, str]]) -> None:
    """Write curves/NAME.svg."""
    import matplotlib

    matplotlib.use("svg")
    # The same curve gives the same file.
    matplotlib.rcParams["svg.hashsalt"] = "lit-seq"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 2.6), layout="constrained")
    for metric, colour in ((entry.metric.replace("val/", "train/"), "#9ab8d3"), (entry.metric, "#c8553d")):
        points = [(int(row["step"]), float(row[metric])) for row in rows if row.get(metric)]
        points = [point for point in points if math.isfinite(point[1])]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, label=metric, linewidth=1.6)
    axes.set(xlabel="step", ylabel=entry.metric.partition("/")[2])
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    place = HERE / "curves" / f"{entry.name}.svg"
    place.parent.mkdir(exist_ok=True)
    figure.savefig(place, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", nargs="*", metavar="NAME", help="classes to train (all)")
    arguments = parser.parse_args()
    everything = pages()
    if arguments.train is not None:
        for entry in (entry for page in everything for entry in page.entries):
            if entry.command and (not arguments.train or entry.name in arguments.train):
                train(entry)
    for page in everything:
        (HERE / page.file).write_text(render(page), encoding="utf-8")
    (HERE / "README.md").write_text(index(everything), encoding="utf-8")


if __name__ == "__main__":
    main()
