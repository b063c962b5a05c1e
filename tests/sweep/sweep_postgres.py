"""A PostgreSQL server of a test's own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PASSWORD = "s3:cr@t"


def _program(name: str) -> str:
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip(f"there is no PostgreSQL here: {name} is missing")
    return found


class Postgres:
    """A server with an empty database, which can be stopped and started again.

    PostgreSQL refuses to run as root: then another user runs it.
    """

    def __init__(self) -> None:
        initdb, self._server = _program("initdb"), _program("postgres")
        self._folder = Path(tempfile.mkdtemp(prefix="lit-seq-postgres-"))
        self._as: dict[str, object] = {}
        if os.getuid() == 0:
            other = next((user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody")), None)
            if other is None:
                pytest.skip("PostgreSQL does not run as root, and there is no other user")
            os.chown(self._folder, other.pw_uid, other.pw_gid)
            self._as = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["--auth=scram-sha-256", f"--pwfile={secret}", "--username=sweeper", "--no-sync"]
        self._run(initdb, "-D", self._data, *options, "--locale=C", "--encoding=UTF8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://sweeper:s3%3Acr%40t@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "fsync": "off", "unix_socket_directories": ""}
        options = [f"-c{name}={value}" for name, value in settings.items()]
        command = [self._server, "-D", self._data, "-p", str(self.port), *options]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._as)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError((self._folder / "log").read_text())

    def stop(self) -> None:
        self._process.send_signal(2)  # "fast": connections are cut
        self._process.wait(60)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._as)
