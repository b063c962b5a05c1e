"""What an optimiser step amounts to, in other units."""

from lit_seq.report.configurations import settings
from lit_seq.report.read import Run


def pace(run: Run) -> dict[str, float]:
    """Return how much of each unit a step is, as far as the run folder says.

    "seconds" is the trial's share of its pack's training time, spread evenly over its steps. "tokens" are
    those of the batch, batch size times length, where all batches of the data have one length.
    """
    found = {}
    if run.status.step and run.status.seconds > 0:
        found["seconds"] = run.status.share / run.status.step
    own = settings(run)
    batch, accumulated = own.get("data.batch_size"), own.get("trainer.accumulate_grad_batches") or 1
    length = own.get("data.chunk_length", own.get("data.length"))
    if isinstance(batch, int) and isinstance(length, int) and isinstance(accumulated, int):
        found["tokens"] = float(batch * length * accumulated)
    return found
