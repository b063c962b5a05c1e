"""A W&B server in memory, on the loopback interface: what the real clients ask of W&B, and no more.

Names of operations and fields are those of the clients of wandb 0.31. Whatever else is asked is refused,
and noted in `WandbServer.unknown`.
"""

import base64
import itertools
import json
import random
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import server_reports
import yaml

ENTITY = server_reports.ENTITY
KEY = "a" * 40


class Refused(Exception):
    """Answered with 200 and `errors`: on 5xx the clients try again for minutes."""


@dataclass
class Run:
    """A run, as its client told it.

    Attributes:
        id: what its address ends in; `name` is only shown.
        config: plain values, without W&B's own `_wandb`.
        history: logged rows, at the offsets that the client gave.
        state: running, finished or failed.
        files: uploaded ones.
    """

    id: str
    project: str
    name: str = ""
    group: str | None = None
    sweep: str | None = None
    job_type: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    state: str = "running"
    exit_code: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    def metric(self, name: str) -> dict[int, float]:
        """Return the values of a metric by step."""
        return {row["_step"]: row[name] for row in self.history if name in row}


@dataclass
class Sweep:
    """A sweep, and the points that are left of it."""

    id: str
    project: str
    config: dict[str, Any]
    points: Iterator[dict[str, Any]]
    runs: list[str] = field(default_factory=list)


@dataclass
class Artifact:
    """A version of an artifact, such as W&B makes for every table."""

    name: str
    type: str
    files: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False


class WandbServer(ThreadingHTTPServer):
    """Serves while entered.

    Attributes:
        runs: by id.
        sweeps: by id.
        views: saved reports, by id.
        connections: number of connections that were opened.
        operations: names of the GraphQL operations asked, in order.
        unknown: what was asked and is not known here; a test should find it empty.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.runs: dict[str, Run] = {}
        self.sweeps: dict[str, Sweep] = {}
        self.agents: dict[str, str] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.operations: list[str] = []
        self.unknown: list[str] = []
        self.connections = 0
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count the connection."""
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about a client that was killed or hung up; raise no alarm that no one reads."""

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL request."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = found[1] if found else query[:40]
        self.operations.append(operation)
        answers: dict[str, Callable[..., Any]] = {
            "Viewer": self._viewer,
            "ServerFeaturesQuery": lambda: {"serverInfo": {"features": []}},
            "UpsertSweep": self._upsert_sweep,
            "SweepWithRuns": self._sweep_with_runs,
            "CreateAgent": self._create_agent,
            "Heartbeat": self._heartbeat,
            "RunResumeStatus": self._resume_status,
            "UpsertBucket": self._upsert_bucket,
            "CreateRunFiles": self._create_run_files,
            "OrganizationCoreWeaveOrganizationID": lambda **_: {"entity": {"organization": None}},
            "ArtifactType": self._artifact_type,
            "CreateArtifact": self._create_artifact,
            "CreateArtifactManifest": self._create_manifest,
            "CreateArtifactFiles": self._create_artifact_files,
            "CommitArtifact": self._commit_artifact,
            **server_reports.answers(self),
        }
        if operation not in answers:
            self.unknown.append(operation)
            raise Refused(f"unknown operation {operation}")
        with self.lock:
            return {"data": answers[operation](**variables)}

    def _viewer(self, **_: Any) -> dict[str, Any]:
        user = {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}"}
        return {"viewer": {**user, "teams": {"edges": [{"node": {"name": ENTITY}}]}}}

    def _upsert_sweep(self, config: str, projectName: str | None = None, **_: Any) -> dict[str, Any]:  # noqa: N803
        content = yaml.safe_load(config)
        project = projectName or content.get("project") or "uncategorized"
        sweep = Sweep(secrets.token_hex(4), project, content, points(content))
        self.sweeps[sweep.id] = sweep
        return {
            "upsertSweep": {
                "sweep": {"name": sweep.id, "project": _project(project)},
                "configValidationWarnings": [],
            }
        }

    def _sweep_with_runs(self, sweep: str, **_: Any) -> dict[str, Any]:
        one = self.sweeps[sweep]
        shown = {"id": one.id, "name": one.id, "method": one.config["method"], "state": "RUNNING"}
        return {"project": {"sweep": {**shown, "config": yaml.safe_dump(one.config), "runs": {"edges": []}}}}

    def _create_agent(self, sweep: str, **_: Any) -> dict[str, Any]:
        agent = secrets.token_hex(4)
        self.agents[agent] = sweep
        return {"createAgent": {"agent": {"id": agent}}}

    def _heartbeat(self, id: str, runState: str, **_: Any) -> dict[str, Any]:  # noqa: A002, N803
        """Give the agent one run at a time, and let it go home when there are no more."""
        sweep = self.sweeps[self.agents[id]]
        commands: list[dict[str, Any]] = []
        if not any(json.loads(runState).values()):
            cap = sweep.config.get("run_cap")
            point = None if cap is not None and len(sweep.runs) >= cap else next(sweep.points, None)
            if point is None:
                commands.append({"type": "exit"})
            else:
                run = Run(secrets.token_hex(4), sweep.project, sweep=sweep.id, state="pending")
                run.name = f"{sweep.config.get('name', 'sweep')}-{run.id}"
                self.runs[run.id] = run
                sweep.runs.append(run.id)
                args = {key: {"value": value} for key, value in point.items()}
                program = sweep.config.get("program", "")
                commands.append({"type": "run", "run_id": run.id, "args": args, "program": program})
        return {"agentHeartbeat": {"agent": {"id": id}, "commands": json.dumps(commands)}}

    def _resume_status(self, name: str, project: str, **_: Any) -> dict[str, Any]:
        run = self.runs.get(name)
        bucket = None
        if run is not None and run.state != "pending":
            bucket = {
                "id": run.id,
                "name": run.id,
                "displayName": run.name,
                "summaryMetrics": json.dumps(run.summary),
                "historyLineCount": len(run.history),
                "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
                "logLineCount": 0,
                "eventsLineCount": 0,
                "eventsTail": "[]",
                "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
                "tags": [],
                "wandbConfig": json.dumps({"t": {}}),
            }
        return {"model": {**_project(project), "bucket": bucket}}

    def _upsert_bucket(
        self, name: str | None = None, project: str | None = None, **given: Any
    ) -> dict[str, Any]:
        name = name or given["id"]
        inserted = name not in self.runs
        run = self.runs.setdefault(name, Run(name, project or "uncategorized"))
        run.name = given.get("displayName") or run.name or name
        run.group = given.get("groupName") or run.group
        run.sweep = given.get("sweep") or run.sweep
        run.job_type = given.get("jobType") or run.job_type
        if given.get("config"):
            values = {key: item["value"] for key, item in json.loads(given["config"]).items()}
            values.pop("_wandb", None)
            run.config |= values
        if given.get("summaryMetrics"):
            run.summary = json.loads(given["summaryMetrics"])
        if run.state == "pending" or run.exit_code is not None:
            run.state, run.exit_code = "running", None
        bucket = {
            "id": run.id,
            "name": run.id,
            "displayName": run.name,
            "sweepName": run.sweep,
            "project": _project(run.project),
            "historyLineCount": len(run.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _create_run_files(self, run: str, files: list[str], **_: Any) -> dict[str, Any]:
        targets = [{"name": name, "uploadUrl": f"{self.url}/run/{run}/{name}"} for name in files]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": targets}}

    def _artifact_type(self, name: str, **_: Any) -> dict[str, Any]:
        kinds = [one.type for one in self.artifacts.values() if one.name == name.partition(":")[0]]
        return {"project": {"artifact": {"artifactType": {"name": kinds[0]}} if kinds else None}}

    def _create_artifact(self, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
        artifact = secrets.token_hex(4)
        self.artifacts[artifact] = Artifact(input["artifactCollectionName"], input["artifactTypeName"])
        shown = {"id": artifact, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": shown}}

    def _create_manifest(self, artifactID: str, includeUpload: bool, **_: Any) -> dict[str, Any]:  # noqa: N803
        target = {"uploadUrl": f"{self.url}/artifact/{artifactID}/manifest", "uploadHeaders": []}
        file = {"id": artifactID, **(target if includeUpload else {})}
        return {"createArtifactManifest": {"artifactManifest": {"id": artifactID, "file": file}}}

    def _create_artifact_files(self, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
        nodes = [
            {
                "storagePath": one["name"],
                "uploadUrl": f"{self.url}/artifact/{one['artifactID']}/{one['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": one["artifactID"]},
            }
            for one in input["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _commit_artifact(self, artifactID: str) -> dict[str, Any]:  # noqa: N803
        self.artifacts[artifactID].committed = True
        return {"commitArtifact": {"artifact": {"id": artifactID, "digest": ""}}}

    def stream(self, run: Run, content: dict[str, Any]) -> None:
        """Take rows in at their offsets, and the run's end."""
        for name, part in content.get("files", {}).items():
            lines = [json.loads(line) for line in part["content"]] if name.startswith("wandb-") else []
            if name == "wandb-history.jsonl":
                offset = part["offset"]
                if offset > len(run.history):
                    raise Refused(f"rows {len(run.history)} to {offset} of the history are missing")
                run.history[offset : offset + len(lines)] = lines
            elif name == "wandb-summary.json":
                run.summary = lines[-1]
        if content.get("complete"):
            run.exit_code = content.get("exitcode", 0)
            run.state = "failed" if run.exit_code else "finished"


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        key = base64.b64encode(f"api:{KEY}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {key}":
            self._reply(401, {"errors": [{"message": "invalid API key"}]})
            return
        content = json.loads(body or b"{}")
        try:
            if self.path == "/graphql":
                self._reply(200, self.server.answer(content["query"], content.get("variables") or {}))
            elif found := re.fullmatch(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream", self.path):
                with self.server.lock:
                    self.server.stream(self.server.runs[found[3]], content)
                self._reply(200, {"exitcode": None, "limits": {}})
            else:
                self._unknown()
        except Exception as error:
            # On a broken connection or on 5xx the clients try again for minutes.
            self.server.unknown.append(f"{self.path}: {error!r}, asked {body[:2000].decode()}")
            self._reply(200, {"data": None, "errors": [{"message": repr(error)}]})

    def do_PUT(self) -> None:
        body = self._body()
        _, kind, owner, name = self.path.split("/", 3)
        owners: dict[str, Any] = {"run": self.server.runs, "artifact": self.server.artifacts}
        owners[kind][owner].files[name] = body
        self._reply(200, {})

    def do_GET(self) -> None:
        self._unknown()

    def _unknown(self) -> None:
        self.server.unknown.append(f"{self.command} {self.path}")
        self._reply(404, {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Stay silent."""


def points(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a sweep's points as W&B sends them: keys in alphabetical order, whole floats as integers."""
    parameters = list(_leaves(config["parameters"]))
    if config["method"] == "grid":
        for values in itertools.product(*(law.get("values", [law.get("value")]) for _, law in parameters)):
            yield _nested([path for path, _ in parameters], list(values))
    else:
        generator = random.Random(0)
        while True:
            yield _nested([path for path, _ in parameters], [_draw(law, generator) for _, law in parameters])


def _leaves(
    parameters: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for name, law in sorted(parameters.items()):
        if "parameters" in law:
            yield from _leaves(law["parameters"], (*path, name))
        else:
            yield (*path, name), law


def _draw(law: dict[str, Any], generator: random.Random) -> Any:
    if "min" not in law:
        return generator.choice(law.get("values", [law.get("value")]))
    if isinstance(law["min"], int) and isinstance(law["max"], int):
        return generator.randint(law["min"], law["max"])
    if "log" in law.get("distribution", ""):
        return law["min"] * (law["max"] / law["min"]) ** generator.random()
    return generator.uniform(law["min"], law["max"])


def _nested(paths: list[tuple[str, ...]], values: list[Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in zip(paths, values, strict=True):
        branch = tree
        for name in path[:-1]:
            branch = branch.setdefault(name, {})
        branch[path[-1]] = int(value) if isinstance(value, float) and value.is_integer() else value
    return tree


def _project(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "entity": {"id": ENTITY, "name": ENTITY}}
