"""Runs at W&B → the same plain data as run folders."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lit_seq.errors import UserError
from lit_seq.report.read import SEED_KEY, Run, flatten, parse_yaml
from lit_seq.report.sweep_folder import SweepFolder
from lit_seq.report.wandb.address import Address
from lit_seq.report.wandb.connection import answering, connect
from lit_seq.report.wandb.mirror import JOB_TYPE
from lit_seq.run_folder import State, Status
from lit_seq.training.wandb_common import TOLD

if TYPE_CHECKING:
    import pandas as pd

_CONNECTIONS = 8
_PAGE = 100
_STEP = "trainer/global_step"

# A run that ended by itself has told its state; of others, W&B alone knows anything.
_STATES: dict[str, tuple[State, str | None]] = {
    "finished": ("finished", None),
    "failed": ("failed", "Its process ended with an error."),
    "killed": ("stopped", "It was stopped at W&B."),
    "crashed": ("failed", "W&B lost touch with its process."),
    "running": ("running", None),
    "preempting": ("running", None),
    "preempted": ("queued", "It was preempted."),
    "pending": ("queued", None),
}
_ENDED = ("finished", "failed", "killed")


def read_from_wandb(address: Address) -> tuple[list[Run], list[SweepFolder]]:
    """Read the runs at an address, and what they are part of.

    What `lit-seq` logs is what its run folders say, but for samples and the arrays of diagnostics. Of other
    runs, state and time are those that W&B shows.

    Raises:
        UserError: there is no login, W&B does not answer, or it has no such project or no run there.
    """
    api = connect()
    with answering():
        found = _find(api, address)
        # Whatever is read below is one request at least for each run.
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            trials = [run for run in found if run.job_type != JOB_TYPE]
            histories = list(threads.map(_history, trials))
        places = {run.id: _place(run, address) for run in found}
        sources = {
            place: _source(api, place, [run for run in found if places[run.id] == place])
            for place in dict.fromkeys(places[run.id] for run in trials)
        }
    if not trials:
        raise UserError(f"W&B has no run at {address}.")
    runs = [
        _run(run, history, places[run.id], sources[places[run.id]])
        for run, history in zip(trials, histories, strict=True)
    ]
    return runs, list(sources.values())


def _find(api: Any, address: Address) -> list[Any]:
    """Return the `wandb.apis.public.Run`s at an address: those of a group by name, others by age."""
    from wandb.errors import CommError

    filters = {"sweeps": {"sweep": address.name}, "groups": {"group": address.name}}
    try:
        if address.kind == "runs":
            return [api.run(address.path)]
        if address.kind == "sweeps":
            api.sweep(address.path)
        runs = api.runs(
            f"{address.entity}/{address.project}", filters.get(address.kind or ""), per_page=_PAGE, lazy=False
        )
        # `list` would ask for the length first, and hide what goes wrong there.
        found = [run for run in runs]  # noqa: C416
    except (ValueError, CommError) as error:
        if not isinstance(getattr(error, "exc", error), ValueError):
            raise
        raise UserError(f"W&B has nothing at {address}, or does not show it to this login.") from None
    return sorted(found, key=lambda run: run.name or "") if address.kind == "groups" else found


def _place(run: Any, address: Address) -> Address:
    """Return what a run is part of, as a run folder is of a sweep's folder."""
    if address.kind in ("sweeps", "groups"):
        return address
    if address.kind is None and run.sweep_name:
        return Address(address.entity, address.project, "sweeps", run.sweep_name)
    if address.kind is None and run.group:
        return Address(address.entity, address.project, "groups", run.group)
    return Address(address.entity, address.project, "runs", run.id)


def _source(api: Any, place: Address, runs: Sequence[Any]) -> SweepFolder:
    """Say of a sweep or group what lies beside the trials in a sweep's folder."""
    problems: list[str] = []
    file: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    for run in runs:
        if run.job_type == JOB_TYPE:
            file = parse_yaml(str(run.config.get("sweep", "")), f"{place}: its sweep file", problems)
            environment = run.config.get("environment") or {}
    if place.kind == "sweeps":
        file = api.sweep(place.path).config
    project = runs[0].url.rpartition("/runs/")[0]
    url = f"{project}/{place.kind}/{quote(place.name or '', safe='')}"
    return SweepFolder(Path(str(place)), file, environment, problems, url)


def _history(run: Any) -> dict[str, dict[int, float]]:
    """Return the logged values of each metric by step."""
    logged: dict[str, dict[int, float]] = {}
    for row in run.scan_history(use_cache=False):
        step = row.get(_STEP, row.get("_step"))
        for name, value in row.items():
            number = _number(value)
            if number is not None and not name.startswith("_") and name not in (_STEP, "epoch"):
                logged.setdefault(name, {})[int(step)] = number
    return logged


def _number(value: Any) -> float | None:
    """Read a number as W&B writes them: NaN and infinities as texts."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _run(run: Any, history: Mapping[str, Mapping[int, float]], place: Address, source: SweepFolder) -> Run:
    own = Address(place.entity, place.project, "runs", run.id)
    config = dict(run.config)
    told = config.pop(TOLD, None)
    names = told.get("overrides", []) if isinstance(told, dict) else list(source.parameters)
    flat = flatten(config)
    overrides = {name: config.get(name, flat.get(name)) for name in names if name in config or name in flat}
    # What a sweep varies stands there twice: as the sweep spells it, and in its place.
    swept = {name for name in overrides if "." in name and name in config}
    return Run(
        name=run.name or run.id,
        folder=Path(str(own)),
        sweep=Path(str(place)),
        status=_status(run, history, overrides, flat),
        config={key: value for key, value in flat.items() if key not in swept},
        metrics=_series(history),
        url=run.url,
    )


def _status(
    run: Any, history: Mapping[str, Mapping[int, float]], overrides: dict[str, Any], config: dict[str, Any]
) -> Status:
    summary = run.summary_metrics
    told = summary.get(TOLD)
    told = dict(told) if isinstance(told, dict) and run.state in _ENDED else {}
    state, reason = _STATES.get(run.state, ("failed", f"W&B says that it is {run.state}."))
    seed, most = overrides.get(SEED_KEY, config.get(SEED_KEY)), config.get("trainer.max_steps")
    last = {name: values[max(values)] for name, values in history.items()}
    return Status(
        state=told.get("state", state),
        reason=told.get("reason") if "state" in told else reason,
        wandb_run_id=run.id,
        overrides=overrides,
        seed=seed if isinstance(seed, int) else None,
        seconds=told.get("seconds") or float(summary.get("_runtime") or 0),
        step=told.get("step") or max((max(values) + 1 for values in history.values()), default=0),
        max_steps=told.get("max_steps") or (most if isinstance(most, int) and most > 0 else None),
        metrics=last,
        pack=told.get("pack") or 1,
    )


def _series(history: Mapping[str, Mapping[int, float]]) -> "dict[str, pd.Series]":
    import pandas as pd

    return {name: pd.Series(history[name], dtype=float).sort_index() for name in sorted(history)}
