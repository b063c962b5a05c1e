"""What to report on: a folder, or a report file reports/*.yaml."""

import glob
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from lit_seq.errors import UserError

SECTIONS = ("answer", "curves", "table", "samples", "trials", "reproduce")

Goal = Literal["minimize", "maximize"]


@dataclass
class Plan:
    """Content of a report file, or what a folder alone implies.

    Attributes:
        runs: folders, or globs for folders, relative to the working directory; each a sweep's folder,
            a run folder or a folder of those.
        title: headline; default: the sweep's name.
        question: the question that the report answers; default: the sweep's description.
        metric: the metric that decides; default: the sweep's.
        goal: "minimize" or "maximize"; default: the sweep's.
        compare_by: keys whose values are compared, each at the best of the other settings; default:
            every setting that varies, except the seed.
        sections: which of `SECTIONS` to show, in this order; default: all.
    """

    runs: list[str]
    title: str | None = None
    question: str | None = None
    metric: str | None = None
    goal: Goal | None = None
    compare_by: list[str] | None = None
    sections: list[str] = field(default_factory=lambda: list(SECTIONS))

    @classmethod
    def of(cls, source: Path) -> "Plan":
        """Return the plan for a folder, or read a report file.

        Raises:
            UserError: `source` does not exist, or is not a report file.
        """
        if source.is_dir():
            return cls(runs=[glob.escape(str(source))])
        if not source.exists():
            raise UserError(f"There is no folder or report file {source}.")
        try:
            content = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"{source} is not a report file: {' '.join(str(error).split())}.") from None
        return cls(**_checked(content, source))

    def folders(self) -> list[Path]:
        """Return the folders that `runs` names.

        Raises:
            UserError: one of `runs` names none.
        """
        found = []
        for pattern in self.runs:
            matches = [Path(match) for match in sorted(glob.glob(pattern)) if Path(match).is_dir()]
            if not matches:
                raise UserError(
                    f"There is no folder {pattern} (looked in {Path.cwd()}); has its sweep been run?"
                )
            found += matches
        return list(dict.fromkeys(found))


def _checked(content: Any, source: Path) -> dict[str, Any]:
    allowed = [f.name for f in fields(Plan)]
    if not isinstance(content, dict):
        raise UserError(
            f"{source} is not a report file: it must be a mapping with the keys {', '.join(allowed)}."
        )
    unknown = [str(key) for key in content if key not in allowed]
    if unknown:
        raise UserError(f"{source}: unknown key {unknown[0]!r}; allowed: {', '.join(allowed)}.")
    for key in ("runs", "compare_by", "sections"):
        value = content.get(key, [] if key != "runs" else None)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise UserError(f"{source}: {key} must be a list of texts, not {value!r}.")
    for key in ("title", "question", "metric"):
        if not isinstance(content.get(key, ""), str):
            raise UserError(f"{source}: {key} must be a text, not {content[key]!r}.")
    if content.get("goal", "minimize") not in ("minimize", "maximize"):
        raise UserError(f"{source}: goal is {content['goal']!r}; allowed: minimize, maximize.")
    if not content["runs"]:
        raise UserError(f"{source}: runs is empty; name at least one sweep's folder.")
    wrong = [name for name in content.get("sections", []) if name not in SECTIONS]
    if wrong:
        raise UserError(f"{source}: unknown section {wrong[0]!r}; allowed: {', '.join(SECTIONS)}.")
    return content
