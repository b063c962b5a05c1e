"""Recordings of keypoints, as pose trackers write them."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_seq.data.batch import IGNORED
from lit_seq.data.pose_tracks import Floats, Track
from lit_seq.data.pose_windows import PoseWindows, Tracks
from lit_seq.data.source_data import SourceData

_HEADER = ("individuals", "bodyparts", "coords")
"""First words of the header lines of a DeepLabCut file, behind the line of the scorer."""

_CONFIDENCE = ("likelihood", "confidence", "score")

_COLUMN = re.compile(rf"(.+)[_.](x|y|{'|'.join(_CONFIDENCE)})")


class Pose(SourceData, PoseWindows):
    """Tracked keypoints of an animal or a person, a frame a row, from files or the Hugging Face hub.

    Reads anything that `datasets.load_dataset` loads whose columns are called `nose_x`, `nose_y` and
    `nose_likelihood` (or `_confidence`, `_score`; or with a point, as SLEAP writes them; without such a
    column a keypoint is certain wherever it has a position), and csv files of DeepLabCut as they are, with
    several animals too (`animal_nose_x`, …). Rows are consecutive frames of one recording, unless
    `recording_column` tells recordings apart; each DeepLabCut file is one.

    How recordings become windows is told by `lit_seq.data.pose_windows.PoseWindows`.

    Args:
        path: a file format ("csv", "parquet", …), a folder, or a name on the hub.
        keypoints: names of the keypoints to use; by default all.
        recording_column: column that says which recording a frame belongs to.
        motif_column: column that says what the animal is known to do, an integer or a text a frame, empty
            where nobody knows; only to judge motifs that a model finds by itself.
        data: the arguments of `SourceData` and of `PoseWindows`.
    """

    def __init__(
        self,
        path: str,
        keypoints: list[str] | None = None,
        recording_column: str | None = None,
        motif_column: str | None = None,
        **data: Any,
    ) -> None:
        super().__init__(path, **data)
        self.keypoints = keypoints
        self.recording_column, self.motif_column = recording_column, motif_column

    def tracks(self) -> Tracks:
        """Return the recordings of each split."""
        tables = {split: self._table(data.to_pandas()) for split, data in self.source.load().items()}
        keypoints = self.keypoints or list(_found(list(tables["train"])))
        if not keypoints:
            raise self._wrong(
                f"{self.source} has no keypoints, columns such as nose_x and nose_y; its columns are"
                f" {', '.join(map(str, tables['train']))}."
            )
        motifs: list[str] = []
        if self.motif_column is not None:
            found = {
                str(motif)
                for table in tables.values()
                for motif in self._column(table, self.motif_column).dropna()
            }
            motifs = sorted(found)
        tracks = {split: list(self._recordings(table, keypoints, motifs)) for split, table in tables.items()}
        return Tracks(keypoints, tracks, tuple(motifs))

    def _table(self, table: Any) -> Any:
        """Return a table of frames with names of keypoints as columns."""
        if "scorer" not in table or table.empty or table["scorer"].iloc[0] not in _HEADER:
            return table
        header = table["scorer"].isin(_HEADER)
        starts = header & ~header.shift(fill_value=False)
        words = table[header & (starts.cumsum() == 1)].drop(columns="scorer").astype(str)
        frames = table[~header].drop(columns="scorer")
        frames.columns = ["_".join(column) for column in words.T.to_numpy()]
        return frames.assign(**{_FILE: "file " + starts.cumsum()[~header].astype(str)}).reset_index(drop=True)

    def _recordings(self, table: Any, keypoints: list[str], motifs: list[str]) -> Iterator[Track]:
        """Yield the recordings in a table of frames."""
        column = self.recording_column or (_FILE if _FILE in table else None)
        names = None if column is None else self._column(table, column)
        groups = [(str(self.source), table)] if names is None else table.groupby(names, sort=False)
        for name, frames in groups:
            known = None
            if self.motif_column is not None:
                numbers = {motif: number for number, motif in enumerate(motifs)}
                called = self._column(frames, self.motif_column)
                known = np.array([numbers.get(str(motif), IGNORED) for motif in called])
            yield Track(str(name), *self._points(frames, keypoints), known)

    def _points(self, frames: Any, keypoints: list[str]) -> tuple[Floats, Floats]:
        """Return positions, (frames, keypoints, 2), and confidence, (frames, keypoints)."""
        found = _found(list(frames))
        for keypoint in keypoints:
            for axis in "xy":
                if axis not in found.get(keypoint, {}):
                    raise self._wrong(
                        f"{self.source} has no column {keypoint}_{axis}; its keypoints are"
                        f" {', '.join(found) or 'none'}."
                    )
        points = np.stack(
            [self._numbers(frames, found[name][axis]) for name in keypoints for axis in "xy"], 1
        ).reshape(len(frames), len(keypoints), 2)
        confidence = [
            self._numbers(frames, found[name]["confidence"])
            if "confidence" in found[name]
            else np.ones(len(frames))
            for name in keypoints
        ]
        return points, np.stack(confidence, 1)

    def _numbers(self, frames: Any, column: str) -> NDArray[np.float64]:
        import pandas as pd

        numbers = pd.to_numeric(frames[column], errors="coerce")
        wrong = numbers.isna() & frames[column].notna()
        if wrong.any():
            row = wrong.argmax()
            raise self._wrong(
                f"column {column} of {self.source} holds {frames[column].iloc[row]!r} in frame {row}, which"
                " is no number."
            )
        return numbers.to_numpy(np.float64)

    def _column(self, table: Any, name: str) -> Any:
        if name not in table:
            raise self._wrong(f"{self.source} has no column {name}; its columns are {', '.join(table)}.")
        return table[name]


_FILE = "DeepLabCut file"
"""Column of the file that a frame is from."""


def _found(columns: list[str]) -> dict[str, dict[str, str]]:
    """Return which columns hold "x", "y" and "confidence" of each keypoint that has a position."""
    found: dict[str, dict[str, str]] = {}
    for column in columns:
        if match := _COLUMN.fullmatch(column):
            keypoint, kind = match.groups()
            found.setdefault(keypoint, {})["confidence" if kind in _CONFIDENCE else kind] = column
    return {keypoint: kinds for keypoint, kinds in found.items() if "x" in kinds or "y" in kinds}
