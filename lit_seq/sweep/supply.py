"""Which waiting trials a worker gets next."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from lit_seq.configuration import parse, plain
from lit_seq.errors import UserError
from lit_seq.packing.function import Unpackable
from lit_seq.packing.keys import PackKey, pack_key
from lit_seq.packing.plan import Keys, choose
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.study import Attempt, Study
from lit_seq.sweep.trial import trial_arguments

# How many packs' worth of trials are looked at for one pack.
_LOOK_AHEAD = 8
_ALONE, _WRONG = "alone", "wrong"


class Supply:
    """Takes trials from a study that can be stacked with each other.

    Args:
        folder: the sweep's folder.
        file: the sweep file.
        study: the sweep's state.
        pack_size: the most trials that are stacked; 1 trains each alone.

    Attributes:
        taken: trials that were suggested, and wait here for others that they can be stacked with.
        alone: why a trial is in no pack, by number.
    """

    def __init__(self, folder: Path, file: SweepFile, study: Study, pack_size: int) -> None:
        self._folder, self._file, self._study, self._pack_size = folder, file, study, pack_size
        self._keys = Keys(self._parse)
        self._pack_keys: dict[int, str] = {}
        self._mates: dict[str, int] = {}
        self.taken: list[Attempt] = []
        self.alone: dict[int, str] = {}

    def next_pack(self, waiting: int, free: int) -> list[Attempt]:
        """Take the next trials that can be stacked.

        Args:
            waiting: how many wait, those that were taken included.
            free: how many workers share them.

        Raises:
            StorageAway: the storage cannot be used.
        """
        size = max(1, min(self._pack_size, -(-waiting // max(1, free))))
        if self._file.method != "bayes":
            found = self._study.waiting(_LOOK_AHEAD * size if size > 1 else 1)
            return self._study.claim(choose(found, self._key, size)) if found else []
        attempts = choose(self.taken, self._key, size) if self.taken else []
        while len(attempts) < size and len(self.taken) < size and (attempt := self._study.suggest()):
            self.taken.append(attempt)
            attempts = choose(self.taken, self._key, size)
        self.taken = [attempt for attempt in self.taken if attempt not in attempts]
        return attempts

    def is_stacked(self, attempt: Attempt) -> bool:
        """Tell whether a trial trains as a stack even if no other is in it.

        On a CPU its numbers then are the same whichever trials wait when it begins, and after any resumption.
        It is a fifth slower there; on a GPU it would be several times.
        """
        if self._pack_size == 1 or torch.cuda.is_available():
            return False
        key = self._key(attempt)
        if key not in self._mates:
            known = not key.startswith((_ALONE, _WRONG))
            self._mates[key] = self._keys.count(attempt.values, self._study.known_values()) if known else 0
        return self._mates[key] > 1

    def _key(self, attempt: Attempt) -> str:
        number = attempt.number
        if number not in self._pack_keys:
            try:
                self._pack_keys[number] = self._keys(attempt.values)
            except Unpackable as reason:
                self._pack_keys[number], self.alone[number] = f"{_ALONE} {number}", str(reason)
            except UserError:  # told when the trial runs
                self._pack_keys[number] = f"{_WRONG} {number}"
        return self._pack_keys[number]

    def _parse(self, values: dict[str, Any]) -> PackKey:
        with TemporaryDirectory() as place:
            json_file = Path(place) / "args.json"
            json_file.write_text(json.dumps(values), encoding="utf-8")
            return pack_key(plain(parse(trial_arguments(self._file, values, self._folder / "0", json_file))))
