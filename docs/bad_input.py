"""Try every bad input of bad-input.yaml, and write what a user sees to bad-input.md.

python docs/bad_input.py           # some minutes
python docs/bad_input.py --check   # only compare: tests/test_bad_input.py holds the page to what they say
"""

import io
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import torch
import yaml

from lit_seq.cli import main

HERE = Path(__file__).parent
SHORT = {
    "LM": "lit-seq fit --model LanguageModel --data Shakespeare",
    "S": "lit-seq fit --model ManyToOne",
}
# What is not refused as it should be is soon over.
_SHORT = [
    "--trainer.max_steps=2",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_progress_bar=false",
]


@dataclass(frozen=True)
class Seen:
    """What became of a command.

    Attributes:
        group: kind of input.
        what: what is wrong with it.
        command: the command line.
        code: its exit code.
        words: what it wrote to standard error.
        changed: files that it made, removed or changed.
    """

    group: str
    what: str
    command: str
    code: int
    words: str
    changed: list[str]

    @property
    def wrong(self) -> str | None:
        """Say what is wrong with the answer; None where it is as it should be."""
        if self.code != 2:
            return f"exit code {self.code}"
        if self.words.count("lit-seq: ") != 1 or not self.words.rstrip().splitlines()[-1].startswith(
            "lit-seq: "
        ):
            return "not one sentence"
        return f"left {self.changed}" if self.changed else None


def try_all() -> Iterator[Seen]:
    """Run each command in one prepared folder."""
    content = yaml.safe_load((HERE / "bad-input.yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as place, chdir(place):
        _lay_down(content["files"])
        for command in content["before"]:
            code, words = _run(command)
            if code:
                raise RuntimeError(f"{command} ended with {code}: {words}")
        (Path("cut.ckpt")).write_bytes(Path("runs/book/checkpoints/last.ckpt").read_bytes()[:2000])
        before = _files()
        for group, inputs in content["inputs"].items():
            for what, command in inputs.items():
                code, words = _run(command)
                after = _files()
                changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
                yield Seen(group, what, _whole(command), code, words.replace(place, "…"), changed)
                before = after


def page(seen: list[Seen]) -> str:
    """Return the page as Markdown."""
    parts = [
        "# Bad input, and what a user sees",
        f"{len(seen)} inputs, each tried by `python docs/bad_input.py` in one folder with the files of "
        "[bad-input.yaml](bad-input.yaml). Each ends with exit code 2, one sentence on standard error, no "
        "traceback, and every file in the folder as it was. `pytest -m slow tests/test_bad_input.py` tries "
        "them again, and command lines and sweep files that Hypothesis makes up.",
    ]
    for group in dict.fromkeys(one.group for one in seen):
        rows = [
            f"| {one.what} | `{_cell(one.command)}` | {_text(one.words)} |"
            for one in seen
            if one.group == group
        ]
        parts.append("\n".join([f"## {group}", "", "| input | command | answer |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch it_ran",)


def _lay_down(files: dict[str, object]) -> None:
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    Path("binary.txt").write_bytes(bytes(range(256)))
    torch.save({"state_dict": _Code()}, "code.ckpt")
    Path("empty").mkdir()


def _run(command: str) -> tuple[int, str]:
    words = io.StringIO()
    arguments = shlex.split(_whole(command))[1:]
    if arguments[:1] == ["fit"] and len(arguments) > 1:
        arguments += _SHORT
    with redirect_stderr(words), redirect_stdout(io.StringIO()):
        code = main(arguments)
    return code, words.getvalue()


def _whole(command: str) -> str:
    head, _, rest = command.partition(" ")
    return f"{SHORT[head]} {rest}" if head in SHORT else command


def _files() -> dict[str, bytes]:
    """Return everything in the folder but the log that W&B's own process goes on writing."""
    paths = [path for path in Path().rglob("*") if path.name != "debug-core.log"]
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _text(words: str) -> str:
    sentence = ["", *words.splitlines()][-1].removeprefix("lit-seq: ")
    return _cell(sentence.replace("<", "&lt;").replace("$", "\\$").replace("*", "\\*").replace("_", "\\_"))


def main_program() -> int:
    """Run as a command; return 1 where an answer is not as it should be, or --check finds another page."""
    everything = []
    for one in try_all():
        everything.append(one)
        if one.wrong:
            print(f"{one.command}: {one.wrong}\n{one.words}", flush=True)
    file, content = HERE / "bad-input.md", page(everything)
    if "--check" not in sys.argv:
        file.write_text(content, encoding="utf-8")
    elif content != (before := file.read_text(encoding="utf-8")):
        print(*unified_diff(before.splitlines(), content.splitlines(), lineterm="", n=0), sep="\n")
        return 1
    return 1 if any(one.wrong for one in everything) else 0


if __name__ == "__main__":
    sys.exit(main_program())
