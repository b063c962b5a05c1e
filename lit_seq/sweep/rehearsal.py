"""A look at what the trials will be given, before anything starts."""

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_seq.errors import UserError
from lit_seq.sweep.folder import trial_folder
from lit_seq.sweep.parameters import Choices, identity
from lit_seq.sweep.search import Search, dotted
from lit_seq.sweep.trial import trial_arguments

# A configuration takes a tenth of a second to parse.
_MOST = 200
_SUGGESTED = 20


def rehearse(folder: Path, search: Search, seed: int) -> None:
    """Parse the configurations of trials, without building anything.

    Trials that differ only in numbers stand for each other, but each listed value is tried.

    Args:
        folder: where the sweep will lie.
        search: the sweep's trials.
        seed: of method random.

    Raises:
        UserError: one is wrong, or its model does not log the sweep's metric.
    """
    from lit_seq.configuration import check_metric, parse

    file = search.file
    with tempfile.TemporaryDirectory() as place:
        json_file = Path(place) / "args.json"
        for number, values in itertools.islice(_telling(search, seed), _MOST):
            json_file.write_text(json.dumps(values), encoding="utf-8")
            try:
                config = parse(trial_arguments(file, values, trial_folder(folder, number), json_file))
                if file.metric:
                    check_metric(config, file.metric.name, "the sweep's metric.name")
                _check_devices(config.trainer)
            except UserError as error:
                raise UserError(f"{file.path}: trial {number}: {error}") from None


def _check_devices(trainer: Any) -> None:
    import torch

    from lit_seq.packing.keys import several_processes

    if several_processes(trainer.as_dict()) and trainer.accelerator != "cpu" and torch.cuda.is_available():
        raise UserError(
            f"trainer.devices is {trainer.devices}, but a worker has one GPU; it must be 1, or W&B's own"
            " agent train the sweep."
        )


def _telling(search: Search, seed: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and values of the trials that differ in kind from those before."""
    listed = {p.name for p in search.parameters if isinstance(p, Choices)}
    seen: set[object] = set()
    for number, point in enumerate(search.points(seed, suggested=_SUGGESTED)):
        values = search.values(point)
        flat = dotted(values)
        kinds: set[object] = {(key, identity(value)) for key, value in flat.items() if key in listed}
        kinds.add(tuple((key, _kind(value)) for key, value in flat.items()))
        if not kinds <= seen:
            seen |= kinds
            yield number, values


def _kind(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return type(value).__name__ if number else identity(value)
