from collections.abc import Iterator
from pathlib import Path

import pytest
from wandb_server import WandbServer
from wandb_workplace import Workplace


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with WandbServer() as server:
        yield server
    assert server.unknown == []


@pytest.fixture
def workplace(tmp_path: Path, server: WandbServer) -> Workplace:
    return Workplace(tmp_path, server)
