"""What to report on: a folder, or a report file reports/*.yaml."""

import glob
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from lit_seq.errors import UserError
from lit_seq.report.wandb.address import Address, is_address, slug

SECTIONS = (
    "answer",
    "published",
    "curves",
    "table",
    "pairs",
    "updates",
    "heat_map",
    "coordinates",
    "importance",
    "profile",
    "gradient_flow",
    "samples",
    "cost",
    "trials",
    "reproduce",
)

Goal = Literal["minimize", "maximize"]
JudgedBy = Literal["best", "last", "updates"]
Statistic = Literal["mean", "iqm"]
Axis = Literal["step", "tokens", "seconds"]
Sure = Literal["read", "memory", "computed"]


@dataclass(frozen=True)
class Published:
    """A figure that somebody else reports.

    Attributes:
        what: what was measured.
        value: the figure, as printed there.
        source: where it stands: paper and table.
        sure: "read" there, quoted from "memory", or "computed" by other code than this.
    """

    what: str
    value: str
    source: str
    sure: Sure = "read"


@dataclass(frozen=True)
class Ordering:
    """Two configurations of which one should come out better.

    Attributes:
        better: label of one, as the report's table has it.
        worse: label of the other.
        source: who says so.
    """

    better: str
    worse: str
    source: str


@dataclass
class Plan:
    """Content of a report file, or what a folder alone implies.

    Attributes:
        runs: folders, or globs for folders, relative to the working directory, each a sweep's folder, a
            run folder or a folder of those; or addresses at W&B, see `Address`.
        title: headline; default: the sweep's name.
        question: the question that the report answers; default: the sweep's description.
        metric: the metric that decides; default: the sweep's.
        goal: "minimize" or "maximize"; default: the sweep's.
        judge_by: a trial's number: its "best" value of the metric, the "last" one, or the "updates" until
            the metric is as good as `threshold`.
        threshold: value of the metric that is good enough; default: the sweep's `target`.
        statistic: what stands for the seeds: their "mean", or "iqm", the mean of the middle half.
        compare_by: keys whose values are compared, each at the best of the other settings; default:
            every setting that varies, except the seed and what makes the task.
        fix: keys that are held fixed, each at a value or one of a list; other trials are left out.
        x: what curves are drawn against at first.
        heat_map: two keys; default: the first two that vary.
        published: figures to print beside ours.
        orderings: what should come out.
        sections: which of `SECTIONS` to show, in this order; default: all that the runs allow.
    """

    runs: list[str]
    title: str | None = None
    question: str | None = None
    metric: str | None = None
    goal: Goal | None = None
    judge_by: JudgedBy = "best"
    threshold: float | None = None
    statistic: Statistic = "mean"
    compare_by: list[str] | None = None
    fix: dict[str, Any] = field(default_factory=dict)
    x: Axis = "step"
    heat_map: list[str] | None = None
    published: list[Published] = field(default_factory=list)
    orderings: list[Ordering] = field(default_factory=list)
    sections: list[str] | None = None

    @classmethod
    def of(cls, source: Path | str) -> "Plan":
        """Return the plan for a folder or an address at W&B, or read a report file.

        Raises:
            UserError: `source` does not exist, or is not a report file.
        """
        if is_address(str(source)):
            return cls(runs=[str(source)])
        source = Path(source)
        if source.is_dir():
            return cls(runs=[glob.escape(str(source))])
        if not source.exists():
            raise UserError(f"There is no folder or report file {source}.")
        try:
            content = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"{source} is not a report file: {' '.join(str(error).split())}.") from None
        content = _checked(content, source)
        content["published"] = [Published(**one) for one in content.get("published", [])]
        content["orderings"] = [Ordering(**one) for one in content.get("orderings", [])]
        return cls(**content)

    def folders(self) -> list[Path]:
        """Return the folders that `runs` names.

        Raises:
            UserError: one of `runs` names none.
        """
        found = []
        for pattern in self.runs:
            if is_address(pattern):
                continue
            matches = [Path(match) for match in sorted(glob.glob(pattern)) if Path(match).is_dir()]
            if not matches:
                raise UserError(
                    f"There is no folder {pattern} (looked in {Path.cwd()}); has its sweep been run?"
                )
            found += matches
        return list(dict.fromkeys(found))

    def addresses(self) -> list[Address]:
        """Return the addresses at W&B that `runs` names.

        Raises:
            UserError: one is none.
        """
        return [Address.of(text) for text in dict.fromkeys(self.runs) if is_address(text)]

    def target(self, form: str) -> Path:
        """Return where the report goes if nobody says it: into the first folder, else beside the caller."""
        if folders := self.folders():
            return folders[0] / f"report.{form}"
        (address, *_) = self.addresses()
        return Path(slug(f"{address.name or address.project}.{form}"))


def _checked(content: Any, source: Path) -> dict[str, Any]:
    allowed = [f.name for f in fields(Plan)]
    if not isinstance(content, dict):
        raise UserError(
            f"{source} is not a report file: it must be a mapping with the keys {', '.join(allowed)}."
        )
    unknown = [str(key) for key in content if key not in allowed]
    if unknown:
        raise UserError(f"{source}: unknown key {unknown[0]!r}; allowed: {', '.join(allowed)}.")
    for key in ("runs", "compare_by", "heat_map", "sections"):
        value = content.get(key, [] if key != "runs" else None)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise UserError(f"{source}: {key} must be a list of texts, not {value!r}.")
    for key in ("title", "question", "metric"):
        if not isinstance(content.get(key, ""), str):
            raise UserError(f"{source}: {key} must be a text, not {content[key]!r}.")
    choices = {"goal": Goal, "judge_by": JudgedBy, "statistic": Statistic, "x": Axis}
    for key, choice in choices.items():
        if key in content and content[key] not in get_args(choice):
            raise UserError(f"{source}: {key} is {content[key]!r}; allowed: {', '.join(get_args(choice))}.")
    threshold = content.get("threshold", 0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise UserError(f"{source}: threshold must be a number, not {threshold!r}.")
    if not isinstance(content.get("fix", {}), dict):
        raise UserError(f"{source}: fix must map keys to values, not {content['fix']!r}.")
    if len(content.get("heat_map", ["x", "y"])) != 2:
        raise UserError(f"{source}: heat_map must name two keys, not {len(content['heat_map'])}.")
    if not content["runs"]:
        raise UserError(f"{source}: runs is empty; name at least one folder, or address at W&B.")
    wrong = [name for name in content.get("sections", []) if name not in SECTIONS]
    if wrong:
        raise UserError(f"{source}: unknown section {wrong[0]!r}; allowed: {', '.join(SECTIONS)}.")
    _check_entries(content, "published", Published, source)
    _check_entries(content, "orderings", Ordering, source)
    return content


def _check_entries(content: dict[str, Any], key: str, kind: type, source: Path) -> None:
    names = [f.name for f in fields(kind)]
    needed = [name for name in names if name != "sure"]
    entries = content.get(key, [])
    if not isinstance(entries, list):
        raise UserError(f"{source}: {key} must be a list, not {entries!r}.")
    for number, entry in enumerate(entries):
        where = f"{source}: {key}[{number}]"
        if not isinstance(entry, dict) or not set(needed) <= set(entry) <= set(names):
            raise UserError(f"{where} must have {', '.join(needed)}, and may have nothing but {names}.")
        if entry.get("sure", "read") not in get_args(Sure):
            raise UserError(f"{where}: sure is {entry['sure']!r}; allowed: {', '.join(get_args(Sure))}.")
        entry |= {name: str(entry[name]) for name in entry}
