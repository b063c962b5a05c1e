"""What an optimiser step amounts to, in other units."""

from typing import Any

from lit_seq.report.configurations import settings
from lit_seq.report.read import Run

_LENGTHS = ("chunk_length", "length")


def pace(run: Run) -> dict[str, float]:
    """Return how much of each unit a step is, as far as the run folder says.

    "seconds" is the trial's share of its pack's training time, spread evenly over its steps. "tokens" are
    those of the batch, batch size times length, where all batches of the data have one length.
    """
    found = {}
    if run.status.step and run.status.seconds > 0:
        found["seconds"] = run.status.share / run.status.step
    own = settings(run)
    batch = _whole(own, "data", "batch_size")
    lengths = [length for name in _LENGTHS if (length := _whole(own, "data", name))]
    if batch and lengths:
        found["tokens"] = float(batch * lengths[0] * (_whole(own, "trainer", "accumulate_grad_batches") or 1))
    return found


def _whole(settings: dict[str, Any], part: str, name: str) -> int | None:
    """Return a whole number that is set as PART.NAME, be it by a sweep or by a configuration."""
    places = (f"{part}.{name}", f"{part}.init_args.{name}")
    values = [settings[place] for place in places if isinstance(settings.get(place), int)]
    return values[0] if values else None
