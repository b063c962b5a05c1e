"""Lets the wall clock of a process jump: by as many seconds as stand in a file."""

import os
import time
from pathlib import Path

if "LIT_SEQ_FAULTS_CLOCK" in os.environ:
    _OFFSET, _time, _time_ns = Path(os.environ["LIT_SEQ_FAULTS_CLOCK"]), time.time, time.time_ns

    def _offset() -> float:
        try:
            return float(_OFFSET.read_text())
        except (OSError, ValueError):
            return 0.0

    time.time = lambda: _time() + _offset()
    time.time_ns = lambda: _time_ns() + int(_offset() * 1e9)
