"""A W&B server in memory, on the loopback interface: what the real clients ask of W&B, and no more.

Names of operations and fields are those of the clients of wandb 0.31. Whatever else is asked is refused,
and noted in `WandbServer.unknown`.
"""

import base64
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import server_artifacts
import server_reports
import server_sweeps
from server_artifacts import Artifact
from server_sweeps import Sweep

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
        values: what a sweep has given it.
        state: pending, running, finished, failed or preempted.
        stopped: whether it is to stop: its agent and its client are told.
        preempting: whether it has said that it is preempted.
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
    values: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False
    preempting: bool = False
    files: dict[str, bytes] = field(default_factory=dict)

    def metric(self, name: str) -> dict[int, float]:
        """Return the values of a metric by step."""
        return {row["_step"]: row[name] for row in self.history if name in row}


class WandbServer(ThreadingHTTPServer):
    """Serves while entered.

    Attributes:
        runs: by id.
        sweeps: by id.
        views: saved reports, by id.
        away: whether connections are cut, as by a server that is restarted.
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
        self.away = False
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
            "RunResumeStatus": self._resume_status,
            "UpsertBucket": self._upsert_bucket,
            "CreateRunFiles": self._create_run_files,
            "OrganizationCoreWeaveOrganizationID": lambda **_: {"entity": {"organization": None}},
            **server_artifacts.answers(self),
            **server_sweeps.answers(self),
            **server_reports.answers(self),
        }
        if operation not in answers:
            self.unknown.append(operation)
            raise Refused(f"unknown operation {operation}")
        with self.lock:
            return {"data": answers[operation](**variables)}

    def new_run(self, sweep: Sweep) -> Run:
        """Make a run that an agent is to start."""
        run = Run(secrets.token_hex(4), sweep.project, sweep=sweep.id, state="pending")
        run.name = f"{sweep.config.get('name', 'sweep')}-{run.id}"
        self.runs[run.id] = run
        return run

    def _viewer(self, **_: Any) -> dict[str, Any]:
        user = {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}"}
        return {"viewer": {**user, "teams": {"edges": [{"node": {"name": ENTITY}}]}}}

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
        server_sweeps.halve(self, run)
        run.preempting = run.preempting or bool(content.get("preempting"))
        if content.get("complete"):
            run.exit_code = content.get("exitcode", 0)
            run.state = "failed" if run.exit_code else "finished"
            server_sweeps.ended(self, run)


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        if self.server.away:
            self.close_connection = True
            return
        key = base64.b64encode(f"api:{KEY}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {key}":
            self._reply(401, {"errors": [{"message": "invalid API key"}]})
            return
        content = json.loads(body or b"{}")
        try:
            if self.path == "/graphql":
                self._reply(200, self.server.answer(content["query"], content.get("variables") or {}))
            elif found := re.fullmatch(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream", self.path):
                run = self.server.runs[found[3]]
                with self.server.lock:
                    self.server.stream(run, content)
                self._reply(200, {"exitcode": None, "limits": {}, "stopped": run.stopped})
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
        found = re.fullmatch(r"/artifact/([^/]+)/(.+)", self.path)
        content = self.server.artifacts[found[1]].files.get(found[2]) if found else None
        if content is None:
            self._unknown()
        else:
            self._reply(200, content)

    def _unknown(self) -> None:
        self.server.unknown.append(f"{self.command} {self.path}")
        self._reply(404, {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _reply(self, status: int, content: dict[str, Any] | bytes) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Stay silent."""


def _project(name: str) -> dict[str, Any]:
    return {"id": name, "name": name, "entity": {"id": ENTITY, "name": ENTITY}}
