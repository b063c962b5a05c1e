"""What `wandb.Api` and wandb-workspaces ask of the loopback server: runs, histories, saved reports."""

import json
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from wandb_server import Run, WandbServer

ENTITY = "team"


def answers(server: "WandbServer") -> dict[str, Callable[..., Any]]:
    """Return what answers each operation."""

    def run(name: str, project: str, **_: Any) -> dict[str, Any]:
        found = server.runs.get(name)
        return _of(None if found is None or found.project != project else _shown(found))

    def runs(
        project: str,
        filters: str = "{}",
        perPage: int = 50,  # noqa: N803
        cursor: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        everything = [one for one in server.runs.values() if one.project == project]
        if not everything:
            return {"project": None}
        found = [one for one in everything if _matches(one, json.loads(filters))]
        start = int(cursor or 0)
        page = found[start : start + perPage]
        info = {"endCursor": str(start + len(page)), "hasNextPage": start + len(page) < len(found)}
        edges = [{"node": _shown(one), "cursor": str(start + at + 1)} for at, one in enumerate(page)]
        listed = {"edges": edges, "pageInfo": info}
        return {"project": {"internalId": "1", "runCount": len(found), "readOnly": False, "runs": listed}}

    def sweep(name: str, project: str, **_: Any) -> dict[str, Any]:
        found = server.sweeps.get(name)
        if found is None or found.project != project:
            return {"project": {"sweep": None}}
        shown = {"id": found.id, "name": found.id, "state": "RUNNING", "config": yaml.safe_dump(found.config)}
        return {"project": {"sweep": shown}}

    def history(runName: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        rows = [{"_step": row["_step"]} for row in server.runs[runName].history]
        return _of({"parquetHistory": {"parquetUrls": [], "liveData": rows}})

    def history_page(run: str, minStep: int, maxStep: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        rows = [row for row in server.runs[run].history if minStep <= row["_step"] < maxStep]
        return _of({"history": [_json(row) for row in rows]})

    def projects(**_: Any) -> dict[str, Any]:
        names = dict.fromkeys(one.project for one in server.runs.values())
        nodes = [
            {"__typename": "Project", "id": name, "name": name, "entityName": ENTITY, "createdAt": _THEN}
            for name in names
        ]
        edges = [{"node": {**node, "isBenchmark": False, "user": None}} for node in nodes]
        info = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": info, "edges": edges}}

    def project(projectName: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        there = any(one.project == projectName for one in server.runs.values())
        return {"project": {"id": projectName, "internalId": "UHJvajox"} if there else None}

    def upsert_view(**given: Any) -> dict[str, Any]:
        view = {**given, "id": given.get("id") or secrets.token_hex(4)}
        server.views[view["id"]] = view
        of = {"id": given["projectName"], "name": given["projectName"], "entityName": given["entityName"]}
        shown = {key: view[key] for key in ("id", "type", "name", "displayName", "description", "spec")}
        return {"upsertView": {"view": {**shown, "project": of, "updatedAt": _THEN}, "inserted": True}}

    return {
        "GetDefaultEntity": lambda **_: {"viewer": {"id": "1", "entity": ENTITY}},
        "Run": run,
        "Runs": runs,
        "RunHistoryKeys": run,
        "GetSweep": sweep,
        "GetSweepLegacy": sweep,
        "RunParquetHistory": history,
        "HistoryPage": history_page,
        "GetProjects": projects,
        "ProjectInternalId": project,
        "upsertView": upsert_view,
    }


_THEN = "2026-11-22T00:00:00Z"


def _of(run: dict[str, Any] | None) -> dict[str, Any]:
    return {"project": {"run": run}}


def _shown(run: "Run") -> dict[str, Any]:
    return {
        "id": run.id,
        "tags": [],
        "name": run.id,
        "displayName": run.name,
        "sweepName": run.sweep,
        "state": run.state,
        "config": _json({key: {"value": value} for key, value in run.config.items()}),
        "group": run.group,
        "jobType": run.job_type,
        "commit": None,
        "readOnly": False,
        "createdAt": _THEN,
        "heartbeatAt": _THEN,
        "description": None,
        "notes": None,
        "systemMetrics": "{}",
        "summaryMetrics": _json(run.summary),
        "historyLineCount": len(run.history),
        "user": {"name": ENTITY, "username": ENTITY},
        "historyKeys": {"lastStep": run.history[-1]["_step"] if run.history else -1},
        "projectId": "1",
    }


def _matches(run: "Run", filters: dict[str, Any]) -> bool:
    """Apply what our code asks of MongoDB's query language."""
    values = {"group": run.group, "sweep": run.sweep, "name": run.id}
    return all(
        values[key] in wanted["$in"] if isinstance(wanted, dict) else values[key] == wanted
        for key, wanted in filters.items()
    )


def _json(value: Any) -> str:
    """Write JSON as W&B does: NaN and infinities as texts."""
    return json.dumps(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, float) and value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value
