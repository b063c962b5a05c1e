"""The Hugging Face hub, asked once and briefly whether it is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from lit_seq.errors import UserError

PATIENCE = 5.0
"""Seconds that the hub has to answer."""


@contextmanager
def reached_or_offline(name: str, revision: str | None, token: str | bool | None) -> Iterator[None]:
    """Work with the hub if it answers anything, else with the cache alone.

    Left to itself, `load_dataset` asks an absent hub again and again for half a minute.

    Args:
        name: a data set of the hub.
        revision: its version.
        token: what the hub lets us in with.

    Raises:
        UserError: the hub says that there is no such data set, or not for us.
    """
    import datasets
    import huggingface_hub.constants
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    error = None if datasets.config.HF_HUB_OFFLINE else _ask(name, revision, token)
    if isinstance(error, RevisionNotFoundError):
        raise UserError(f"{name} has no revision {revision} on the hub.") from error
    if isinstance(error, RepositoryNotFoundError):
        raise UserError(
            f"there is no data set {name} on the hub, or not without a login that may read it."
        ) from error
    unreachable = error is not None and not isinstance(error, HfHubHTTPError)
    switches: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    try:
        for switch in switches:
            switch.HF_HUB_OFFLINE = switch.HF_HUB_OFFLINE or unreachable
        yield
    finally:
        for switch, offline in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = offline


def _ask(name: str, revision: str | None, token: str | bool | None) -> Exception | None:
    """Return what kept the hub from describing the data set `name`."""
    from huggingface_hub import HfApi

    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            HfApi(token=token).dataset_info(name, revision=revision, expand=["sha"])
            answer.append(None)
        except Exception as error:
            answer.append(error)

    # In a thread, as no time-out of the client covers the look-up of the hub's address.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return answer[0] if answer else TimeoutError(f"no answer in {PATIENCE} s")
