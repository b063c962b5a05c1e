"""A W&B sweep file: what lit-seq understands of it, and a sentence for everything else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lit_seq.errors import UserError
from lit_seq.sweep.checks import choice, filled_list, mapping, number, text, truth, whole
from lit_seq.sweep.command_line import check_command
from lit_seq.sweep.parameters import Choices, Parameter, read_parameters
from lit_seq.sweep.yaml_text import load_yaml
from lit_seq.training.hyperband import Hyperband

Method = Literal["grid", "random", "bayes"]

_ITERATIONS = ("min_iter", "max_iter", "s")

KEYS = (
    "program",
    "command",
    "method",
    "metric",
    "parameters",
    "run_cap",
    "early_terminate",
    "name",
    "description",
    "project",
    "entity",
    "apiVersion",
    "kind",
)
# Keys that W&B knows: to call them unknown would send the reader to look for a misprint.
_NOT_HERE = {
    "controller": "lit-seq is its own controller",
    "job": "lit-seq starts trials itself, without W&B Launch",
    "image_uri": "lit-seq starts trials itself, without W&B Launch",
    "scheduler": "lit-seq chooses the trials by method alone",
    "metrics": "lit-seq compares trials by one metric",
}


@dataclass(frozen=True)
class Metric:
    """What the trials are compared by.

    Attributes:
        name: as the trials log it, such as "val/loss".
        goal: which end is better.
        target: once a trial reaches it, no new trial starts.
    """

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"
    target: float | None = None

    def best(self, values: list[float]) -> float | None:
        """Return the best of `values`, if there is any."""
        return (min if self.goal == "minimize" else max)(values, default=None)

    def reached(self, value: float | None) -> bool:
        """Return whether `value` is as good as the target."""
        if value is None or self.target is None:
            return False
        return value <= self.target if self.goal == "minimize" else value >= self.target


@dataclass(frozen=True)
class SweepFile:
    """Content of a sweep file.

    Attributes:
        path: where it lies.
        source: its text.
        content: its plain data.
        name: its `name`; the file's stem where it has none.
        method: how trials are chosen.
        parameters: what they are chosen from, in W&B's order.
        command: what W&B's agent runs for a trial.
        program: what ${program} stands for.
        metric: what trials are compared by.
        run_cap: most trials that are started.
        early_terminate: options of hyperband but its type; None where trials are not stopped.
        project: W&B project.
        entity: W&B user or team.
        notes: what W&B's client understands otherwise, a sentence each.
    """

    path: Path
    source: str
    content: dict[str, Any]
    name: str
    method: Method
    parameters: list[Parameter]
    command: list[str]
    program: str | None
    metric: Metric | None
    run_cap: int | None
    early_terminate: dict[str, Any] | None
    project: str | None
    entity: str | None
    notes: list[str]


def read_sweep_file(path: Path) -> SweepFile:
    """Read a sweep file.

    Raises:
        UserError: it cannot be read, or is not what W&B documents, or asks for what lit-seq has not.
    """
    try:
        source = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no sweep file {path}.") from None
    except OSError as error:
        raise UserError(f"The sweep file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"The sweep file {path} is not text in UTF-8.") from None
    content, notes = load_yaml(source, str(path))
    return _read(content, notes, source, path)


def _read(content: Any, notes: list[str], source: str, path: Path) -> SweepFile:
    if isinstance(content, dict):
        for key, reason in _NOT_HERE.items():
            if key in content:
                raise UserError(f"{path}: lit-seq sweep does not take the key {key!r}: {reason}.")
    mapping(content, str(path), KEYS, required=("method", "parameters", "command"))
    texts = {
        key: text(content[key], f"{path}: {key}") if key in content else None
        for key in ("program", "name", "description", "project", "entity", "apiVersion")
    }
    if "kind" in content:
        choice(content["kind"], f"{path}: kind", ["sweep"])
    method: Any = choice(content["method"], f"{path}: method", ["grid", "random", "bayes"])
    parameters = read_parameters(content["parameters"], f"{path}: parameters")
    metric = _read_metric(content["metric"], f"{path}: metric") if "metric" in content else None
    run_cap = whole(content["run_cap"], f"{path}: run_cap") if "run_cap" in content else None
    if run_cap is not None and run_cap < 1:
        raise UserError(f"{path}: run_cap must be at least 1, not {run_cap}.")
    _check_method(method, parameters, metric, run_cap, path)
    stopping = None
    if "early_terminate" in content:
        stopping = _read_early_terminate(content["early_terminate"], metric, f"{path}: early_terminate")
    command = [
        word if isinstance(word, str) else str(number(word, f"{path}: command[{index}]"))
        for index, word in enumerate(filled_list(content["command"], f"{path}: command"))
    ]
    check_command(command, texts["program"], parameters, str(path))
    return SweepFile(
        path=path,
        source=source,
        content=content,
        name=texts["name"] or path.stem,
        method=method,
        parameters=parameters,
        command=command,
        program=texts["program"],
        metric=metric,
        run_cap=run_cap,
        early_terminate=stopping,
        project=texts["project"],
        entity=texts["entity"],
        notes=notes,
    )


def _read_metric(content: Any, where: str) -> Metric:
    mapping(content, where, ["name", "goal", "target"], required=["name"])
    goal: Any = choice(content.get("goal", "minimize"), f"{where}.goal", ["minimize", "maximize"])
    target = number(content["target"], f"{where}.target") if "target" in content else None
    return Metric(text(content["name"], f"{where}.name"), goal, target)


def _read_early_terminate(content: Any, metric: Metric | None, where: str) -> dict[str, Any]:
    mapping(content, where, ["type", "min_iter", "max_iter", "s", "eta", "strict"], required=["type"])
    choice(content["type"], f"{where}.type", ["hyperband"])
    if metric is None:
        raise UserError(f"{where} needs a metric to compare trials by; add metric with name and goal.")
    options: dict[str, Any] = {
        key: whole(content[key], f"{where}.{key}") for key in _ITERATIONS if key in content
    }
    if "eta" in content:
        options["eta"] = number(content["eta"], f"{where}.eta")
    if "strict" in content:
        options["strict"] = truth(content["strict"], f"{where}.strict")
    try:
        Hyperband(Path(), metric.name, **options)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return options


def _check_method(
    method: Method, parameters: list[Parameter], metric: Metric | None, run_cap: int | None, path: Path
) -> None:
    for parameter in parameters:
        weighted = isinstance(parameter, Choices) and parameter.probabilities is not None
        if method != "random" and weighted:
            raise UserError(
                f"{path}: parameters.{parameter.name} has probabilities, which only method random can use, "
                f"not {method}."
            )
        if method == "grid" and _grid(parameter, path) is None:
            raise UserError(
                f"{path}: parameters.{parameter.name} has no finite list of values for method grid; allowed "
                "there: value, values, int_uniform and q_uniform."
            )
    if method != "grid" and run_cap is None:
        raise UserError(
            f"{path}: method {method} never ends by itself; say how many trials to run by run_cap."
        )
    if method == "bayes" and metric is None:
        raise UserError(f"{path}: method bayes needs a metric to improve; add metric with name and goal.")


def _grid(parameter: Parameter, path: Path) -> list[Any] | None:
    try:
        return parameter.grid()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
