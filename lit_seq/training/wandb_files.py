"""What a killed offline run left in W&B's own files."""

import os
from collections.abc import Iterator
from glob import escape
from pathlib import Path

_BLOCK, _HEADER = 32768, 7
_WHOLE, _LAST = 1, 4


def close_parts(folder: Path, run_id: str) -> int:
    """Cut half-written ends off the files of a run's earlier parts, and return the last step in them.

    `wandb sync` stops at a record that is cut short, and leaves out the parts behind it.

    Args:
        folder: the folder wandb in the run folder.
        run_id: the run's.

    Returns:
        The last step; -1 where there is none.
    """
    last_step = -1
    for path in folder.glob(f"offline-run-*-{escape(run_id)}/*.wandb"):
        end, step = _read(path.read_bytes())
        os.truncate(path, end)
        last_step = max(last_step, step)
    return last_step


def _read(content: bytes) -> tuple[int, int]:
    """Return where the last whole record ends, and the last step of the history."""
    from wandb.proto.wandb_internal_pb2 import Record

    whole, last_step = _HEADER, -1
    for end, record in _records(content):
        history = Record.FromString(record).history
        whole, last_step = end, max(last_step, history.step.num if history.item else -1)
    return whole, last_step


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield end and content of each whole record.

    W&B writes LevelDB's log format (doc/log_format.md there): in blocks of 32 KiB, a record is one chunk or
    several; a chunk has a header of checksum (4 bytes), length (2) and type (1).
    """
    position, record = _HEADER, b""
    while position + _HEADER <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        start, position = position + _HEADER, position + _HEADER + length
        if position > len(content) or not _WHOLE <= kind <= _LAST:
            return
        record += content[start:position]
        if kind in (_WHOLE, _LAST):
            yield position, record
            record = b""
