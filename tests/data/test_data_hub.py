"""A data set of the hub: a server on this machine stands for the hub of a process that may use a network."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "a" * 40
ROWS = b"text,label\n" + b"".join(b"row %d,%d\n" % (i, i % 2) for i in range(40))

SCRIPT = """
import json, sys, time
from lit_seq.data import TextClassification, hub
from lit_seq.errors import UserError

hub.PATIENCE = 1.0
for line in sys.stdin:
    start = time.monotonic()
    try:
        answer = list(TextClassification(**json.loads(line)).task.labels)
    except UserError as error:
        answer = str(error)
    print(json.dumps([answer, time.monotonic() - start]), flush=True)
"""


class Hub(BaseHTTPRequestHandler):
    """Knows one data set, lit/rows, with one file."""

    def do_GET(self):
        where = self.path.split("?")[0]
        if "/datasets/lit/rows" not in where:
            self.answer(404, {}, {"X-Error-Code": "RepoNotFound"})
        elif where.endswith("/revision/v9"):
            self.answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
        elif "/tree/" in where:
            self.answer(200, [{"type": "file", "path": "train.csv", "size": len(ROWS), "oid": "b" * 40}])
        elif where.endswith("/train.csv"):
            self.answer(200, ROWS, {"X-Repo-Commit": COMMIT, "ETag": f'"{"c" * 40}"'})
        elif "/resolve/" in where:
            self.answer(404, {}, {"X-Error-Code": "EntryNotFound"})
        else:
            self.answer(200, {"id": "lit/rows", "sha": COMMIT, "siblings": [{"rfilename": "train.csv"}]})

    do_HEAD = do_POST = do_GET  # noqa: N815

    def answer(self, code, content, headers=()):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub():
    """The hub's server, not serving yet: it accepts connections and leaves them unanswered."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        yield server


@pytest.fixture
def load(hub, tmp_path):
    """Return a function that loads a data set in another process and returns its labels or what was wrong."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "no_proxy": "127.0.0.1",
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, cwd=tmp_path, **pipes) as process:

        def run(path, **arguments):
            process.stdin.write(json.dumps({"path": path, **arguments}) + "\n")
            process.stdin.flush()
            answer, seconds = json.loads(process.stdout.readline())
            assert seconds < 10
            return answer

        yield run
        process.stdin.close()


def test_hub_silent_then_there_then_gone(hub, load):
    away = "could not be loaded: it is not in the cache, and the hub cannot be reached (no network, or"
    assert load("lit/rows") == f"lit/rows {away} HF_HUB_OFFLINE is set)."

    threading.Thread(target=hub.serve_forever, daemon=True).start()
    assert (
        load("lit/none")
        == "there is no data set lit/none on the hub, or not without a login that may read it."
    )
    assert load("lit/rows", revision="v9") == "lit/rows has no revision v9 on the hub."
    assert load("lit/rows") == ["0", "1"]
    hub.shutdown()
    hub.server_close()

    assert load("lit/rows") == ["0", "1"]
    assert load("lit/rows", revision=COMMIT) == ["0", "1"]
    assert load("lit/rows", revision="v9") == (
        "revision v9 of lit/rows is not the latest in the cache, and the hub cannot be reached; without it"
        " only the full commit of the latest is found."
    )
    assert load("lit/none") == f"lit/none {away} HF_HUB_OFFLINE is set)."
