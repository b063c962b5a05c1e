"""The part of the loopback server that sweeps need: who gets which values, and who is stopped."""

import itertools
import json
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from server_reports import ENTITY

if TYPE_CHECKING:
    from wandb_server import Run, WandbServer

Point = dict[str, Any]


@dataclass
class Sweep:
    """A sweep.

    Attributes:
        points: what is left to try.
        runs: ids of those that were handed out, in order.
        agents: ids of those that were registered.
        requeued: ids of runs that were preempted and wait for another agent.
        cancelled: whether agents are to kill their runs and go home.
    """

    id: str
    project: str
    config: dict[str, Any]
    points: Iterator[Point]
    runs: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    requeued: list[str] = field(default_factory=list)
    cancelled: bool = False


def answers(server: "WandbServer") -> dict[str, Callable[..., Any]]:
    """Return what answers each operation."""
    return {
        "UpsertSweep": lambda **given: _upsert_sweep(server, **given),
        "SweepWithRuns": lambda **given: _sweep_with_runs(server, **given),
        "CreateAgent": lambda **given: _create_agent(server, **given),
        "Heartbeat": lambda **given: _heartbeat(server, **given),
        "RunStoppedStatus": lambda **given: {
            "project": {"run": {"stopped": server.runs[given["runId"]].stopped}}
        },
    }


def _upsert_sweep(
    server: "WandbServer",
    config: str,
    projectName: str | None = None,  # noqa: N803
    **_: Any,
) -> dict[str, Any]:
    content = yaml.safe_load(config)
    project = projectName or content.get("project") or "uncategorized"
    sweep = Sweep(secrets.token_hex(4), project, content, iter(()))
    sweep.points = points(content, lambda: _results(server, sweep))
    server.sweeps[sweep.id] = sweep
    owner = {"id": project, "name": project, "entity": {"id": ENTITY, "name": ENTITY}}
    shown = {"name": sweep.id, "project": owner}
    return {"upsertSweep": {"sweep": shown, "configValidationWarnings": []}}


def _sweep_with_runs(server: "WandbServer", sweep: str, **_: Any) -> dict[str, Any]:
    one = server.sweeps.get(sweep)
    if one is None:
        return {"project": {"sweep": None}}
    shown = {"id": one.id, "name": one.id, "method": one.config["method"], "state": "RUNNING"}
    return {"project": {"sweep": {**shown, "config": yaml.safe_dump(one.config), "runs": {"edges": []}}}}


def _create_agent(server: "WandbServer", sweep: str, **_: Any) -> dict[str, Any]:
    agent = secrets.token_hex(4)
    server.agents[agent] = sweep
    server.sweeps[sweep].agents.append(agent)
    return {"createAgent": {"agent": {"id": agent}}}


def _heartbeat(server: "WandbServer", id: str, runState: str, **_: Any) -> dict[str, Any]:  # noqa: A002, N803
    """Give the agent one run at a time, tell it of stopped ones, and let it go home when nothing is left."""
    sweep = server.sweeps[server.agents[id]]
    has = [run for run, runs in json.loads(runState).items() if runs]
    commands = [{"type": "stop", "run_id": run} for run in has if server.runs[run].stopped]
    if sweep.cancelled:
        commands = [{"type": "exit"}]
    elif not has:
        commands = _next(server, sweep)
    return {"agentHeartbeat": {"agent": {"id": id}, "commands": json.dumps(commands)}}


def _next(server: "WandbServer", sweep: Sweep) -> list[dict[str, Any]]:
    if sweep.requeued:
        run = server.runs[sweep.requeued.pop(0)]
    else:
        cap = sweep.config.get("run_cap")
        point = None if cap is not None and len(sweep.runs) >= cap else next(sweep.points, None)
        if point is None:
            preempting = any(server.runs[run].preempting for run in sweep.runs)
            return [] if preempting else [{"type": "exit"}]
        run = server.new_run(sweep)
        run.values = point
        sweep.runs.append(run.id)
    args = {key: {"value": value} for key, value in run.values.items()}
    return [{"type": "run", "run_id": run.id, "args": args, "program": sweep.config.get("program", "")}]


def ended(server: "WandbServer", run: "Run") -> None:
    """Let a run that was preempted be handed out again."""
    if run.preempting and run.exit_code:
        run.state = "preempted"
        if run.sweep and not run.stopped:
            server.sweeps[run.sweep].requeued.append(run.id)
    run.preempting = False


def halve(server: "WandbServer", run: "Run") -> None:
    """Stop a run that hyperband stops: it is not among the best 1/eta of those that got as far."""
    sweep = server.sweeps.get(run.sweep or "")
    if sweep is None or "early_terminate" not in sweep.config:
        return
    rule, metric = sweep.config["early_terminate"], sweep.config["metric"]
    sign = -1 if metric["goal"] == "maximize" else 1
    eta, band = rule.get("eta", 3), rule["min_iter"]
    histories = {
        name: [sign * value for value in server.runs[name].metric(metric["name"]).values()]
        for name in sweep.runs
    }
    while band <= len(histories[run.id]):
        others = sorted(min(values[:band]) for values in histories.values() if len(values) >= band)
        if min(histories[run.id][:band]) > others[int(len(others) / eta)]:
            run.stopped = True
        band *= eta


def _results(server: "WandbServer", sweep: Sweep) -> list[tuple[float, Point]]:
    """Return the best value, smaller is better, and the point of each run that finished."""
    metric = sweep.config["metric"]
    sign = -1 if metric["goal"] == "maximize" else 1
    runs = [server.runs[name] for name in sweep.runs]
    return [
        (min(sign * value for value in found.values()), run.values)
        for run in runs
        if run.state == "finished" and (found := run.metric(metric["name"]))
    ]


def points(
    config: dict[str, Any], results: Callable[[], list[tuple[float, Point]]] = list
) -> Iterator[Point]:
    """Yield a sweep's points as W&B sends them: keys in alphabetical order, whole floats as integers.

    Method bayes draws around the best of what has finished, where anything has.
    """
    laws = list(_leaves(config["parameters"]))
    paths = [path for path, _ in laws]
    if config["method"] == "grid":
        for values in itertools.product(*(law.get("values", [law.get("value")]) for _, law in laws)):
            yield _nested(paths, list(values))
    generator = random.Random(0)
    while config["method"] != "grid":
        known = results() if config["method"] == "bayes" else []
        best = min(known, key=lambda result: result[0])[1] if known else None
        yield _nested(
            paths, [_draw(law, generator, None if best is None else _at(best, path)) for path, law in laws]
        )


def _leaves(
    parameters: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for name, law in sorted(parameters.items()):
        if "parameters" in law:
            yield from _leaves(law["parameters"], (*path, name))
        else:
            yield (*path, name), law


def _at(point: Point, path: tuple[str, ...]) -> Any:
    for name in path:
        point = point[name]
    return point


def _draw(law: dict[str, Any], generator: random.Random, best: Any = None) -> Any:
    """Draw from a law; within a tenth of its range around `best`, where there is one."""
    if "min" not in law:
        return generator.choice(law.get("values", [law.get("value")]))
    low, high = law["min"], law["max"]
    if "log" in law.get("distribution", ""):
        ratio = (high / low) ** 0.1
        low, high = (low, high) if best is None else (max(low, best / ratio), min(high, best * ratio))
        return low * (high / low) ** generator.random()
    tenth = (high - low) / 10
    low, high = (low, high) if best is None else (max(low, best - tenth), min(high, best + tenth))
    if isinstance(law["min"], int) and isinstance(law["max"], int):
        return generator.randint(round(low), round(high))
    return generator.uniform(low, high)


def _nested(paths: list[tuple[str, ...]], values: list[Any]) -> Point:
    tree: Point = {}
    for path, value in zip(paths, values, strict=True):
        branch = tree
        for name in path[:-1]:
            branch = branch.setdefault(name, {})
        branch[path[-1]] = int(value) if isinstance(value, float) and value.is_integer() else value
    return tree
