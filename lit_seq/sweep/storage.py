"""Where a sweep's state lies: a sqlite file of one driver, or a database that several machines share."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_seq.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

# A machine that stops in the middle of a transaction must not keep the others waiting.
_LEFT_OPEN = 5
_REACHED_IN = 5
# Two first commands at once may both make the tables.
_OPENINGS = 5


class StorageAway(UserError):
    """The storage did not do what it was asked: it cannot be reached, or is busy for too long."""


def is_shared(storage: str) -> bool:
    """Return whether several drivers may use a storage at once: anything but a sqlite file."""
    return not storage.startswith("sqlite")


def sqlite_url(folder: Path) -> str:
    """Return the URL of a sweep's own storage."""
    return f"sqlite:///{folder / 'study.db'}"


def open_storage(storage: str) -> "RDBStorage":
    """Open Optuna's storage, and make its tables where there are none.

    Raises:
        UserError: the URL is wrong, its driver is missing, or it cannot be reached.
    """
    import optuna
    from sqlalchemy import event
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with storage_errors(storage):
        url, arguments = _engine(storage)
        for opening in range(_OPENINGS):
            try:
                opened = optuna.storages.RDBStorage(url, engine_kwargs=arguments)
                break
            except (IntegrityError, ProgrammingError):
                if opening == _OPENINGS - 1:
                    raise
                time.sleep(0.5)
        if opened.engine.name == "postgresql":
            opened.engine.dispose()
            event.listen(opened.engine, "connect", _set_up)
    return opened


def _engine(storage: str) -> tuple[str, dict[str, Any]]:
    from sqlalchemy import make_url

    # libpq's own name for the scheme.
    url = make_url(re.sub(r"^postgres://", "postgresql://", storage))
    arguments: dict[str, Any] = {}
    if url.get_backend_name() == "postgresql":
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        timeouts = {"connect_timeout": _REACHED_IN, "tcp_user_timeout": 1000 * _REACHED_IN}
        arguments = {"pool_pre_ping": True, "connect_args": timeouts}
    # Optuna fills in {SCHEMA_VERSION}.
    shown = url.render_as_string(hide_password=False)
    return shown.replace("{", "{{").replace("}", "}}"), arguments


def _set_up(connection: Any, record: object) -> None:
    """Compare times of day in one zone, and let the server end transactions that a machine left open."""
    connection.execute("SET timezone = 'UTC'")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{_LEFT_OPEN}s'")
    connection.commit()


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Say in one sentence that the storage cannot be used.

    Raises:
        StorageAway: an error of Optuna's storage or of the database below it.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ImportError as error:
        name = getattr(error.__cause__ or error, "name", None)
        hint = "; install it by  pip install 'lit-seq[postgresql]'" if name == "psycopg" else ""
        raise UserError(
            f"The storage {without_password(storage)} needs the Python package {name}{hint}."
        ) from error
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or cause or error).strip().partition("\n")[0]
        raise StorageAway(
            f"The storage {without_password(storage)} cannot be used: {reason.rstrip('.')}."
        ) from error


def without_password(text: str) -> str:
    """Hide the passwords of a URL, or of a word that has one in it."""
    text = re.sub(r"(\w+:/*[^\s:/@]*):.*@", r"\1:***@", text)
    return re.sub(r"([?&]\w*(?:password|passwd|key)\w*=)[^&\s']*", r"\1***", text)
