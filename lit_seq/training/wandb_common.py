"""What writers and readers of W&B runs share."""

import os
from functools import cache

TOLD = "lit_seq"
"""Key of a run's configuration and summary at W&B under which stands what only its folder says else."""


def keep_quiet() -> None:
    """Let W&B's client post no usage metrics, which it does even when offline, and greet nobody.

    It reads this when it starts: before anything is asked of it. On a crowded machine its service may take
    longer to start than the 30 seconds that the client waits for it.
    """
    _have_own_service()
    os.environ.setdefault("WANDB_X_SERVICE_WAIT", "300")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")


@cache
def _have_own_service() -> None:
    """Take no part in the service of the process that started this one.

    It would hold the run of a process that was killed for one in use, and let nobody go on with it.
    """
    os.environ.pop("WANDB_SERVICE", None)


def logged_in() -> bool:
    """Whether there is a key for W&B's server, right or wrong."""
    import wandb

    # Which server is meant, and where its key may stand, is only known in there.
    from wandb.sdk.lib import wbauth

    host = wandb.setup().settings.base_url
    try:
        login = wbauth.authenticate_session(host=host, source="lit-seq", prompt=False, update_session=False)
    except wandb.errors.AuthenticationError:
        return True
    return login is not None
