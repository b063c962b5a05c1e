"""The connection to W&B's server, and what is said where there is none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lit_seq.errors import UserError
from lit_seq.training.wandb_common import keep_quiet, logged_in

_PATIENCE = {"WANDB_HTTP_TIMEOUT": "20", "WANDB_X_GRAPHQL_RETRY_MAX": "4"}
"""Seconds that W&B's server has for an answer, and how often it is asked again: W&B's client would ask for an
hour. What the environment says goes before."""


def connect() -> Any:
    """Return a `wandb.Api` of this machine's login.

    Raises:
        UserError: there is no login, or W&B does not take it or does not answer.
    """
    keep_quiet()
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    import wandb

    if not logged_in():
        raise UserError("There is no login to W&B on this machine; `wandb login` makes one.")
    with answering():
        return wandb.Api()


@contextmanager
def answering() -> Iterator[None]:
    """Say in one sentence that W&B cannot be reached or refuses.

    Raises:
        UserError: a request failed.
    """
    import wandb
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError

    try:
        yield
    except (wandb.errors.Error, WandbApiFailedError, OSError, TimeoutError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        host = wandb.setup().settings.base_url
        raise UserError(f"W&B at {host} does not answer as it should ({reason}).") from error
