import pytest
from sweep_postgres import Postgres


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.remove()
