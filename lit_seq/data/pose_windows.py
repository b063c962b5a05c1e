"""Windows over recordings of a moving body, as it sees itself."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.loader import Loader
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.pose_tracks import Floats, Track, egocentric, interpolated, robust_scale
from lit_seq.data.task import Task
from lit_seq.errors import UserError


class Tracks(NamedTuple):
    """Recordings of one kind of body.

    Attributes:
        keypoints: their names.
        of: the recordings of each split that there is, "train" at least.
        motifs: names of what a body is known to be doing; () where nobody knows.
    """

    keypoints: list[str]
    of: dict[Split, list[Track]]
    motifs: tuple[str, ...] = ()


class PoseWindows(SequenceData):
    """Windows of a pose series, and the frames that follow each.

    Recordings become features in four steps (Luxem et al. 2022, Communications Biology 5:1267, Methods):

    1. A keypoint that was not found, or whose confidence is below `confidence`, is interpolated linearly.
    2. Each frame is moved and turned so that `origin` lies at (0, 0) and `ahead` on the positive x axis:
       where the body is and where it faces no longer shows. What this makes constant is left out.
    3. Features are centred at their median and divided by their interquartile range / 1.349, a standard
       deviation for a Gaussian, both over the training frames of all recordings.
    4. A window starts at every `stride`-th frame, unless it has a gap that is too long to be interpolated.

    Where the data has no split of its own to validate or test on, the last frames of each training recording
    are held out: training sees nothing of them.

    Batch: inputs (batch, window, features) and targets (batch, future, features) float32; motifs, what the
    body is known to do in the middle of the window, (batch,) int64.

    Args:
        window: frames of a window.
        future: frames behind it.
        origin: keypoint at the origin, such as the root of the tail.
        ahead: keypoint straight ahead of it, such as the nose; null for both leaves the frames as they are.
        confidence: least confidence of a keypoint that is not interpolated.
        longest_gap: most frames to interpolate over; null sets no limit.
        stride: frames from the start of one window to that of the next.
        batch_size: windows of a batch.
        validation_fraction: part of each training recording to validate on, where there is no such split.
        test_fraction: part of each training recording to test on, where there is no such split.
        seed: decides the order of the training windows; by default the run's seed.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    def __init__(
        self,
        window: int = 30,
        future: int = 15,
        origin: str | None = None,
        ahead: str | None = None,
        confidence: float = 0.9,
        longest_gap: int | None = 30,
        stride: int = 1,
        batch_size: int = 256,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, num_workers)
        self.window = self._at_least(2, window=window)
        self.future = self._at_least(1, future=future)
        if (origin is None) != (ahead is None) or (origin is not None and origin == ahead):
            raise self._wrong(
                f"origin is {origin} and ahead {ahead}; they must be two keypoints, or both null for poses"
                " that are aligned already."
            )
        self.origin, self.ahead = origin, ahead
        if not 0 <= confidence <= 1:
            raise self._wrong(f"confidence is {confidence}; it must be from 0 to 1.")
        self.confidence = confidence
        self.longest_gap = None if longest_gap is None else self._at_least(0, longest_gap=longest_gap)
        self.stride = self._at_least(1, stride=stride)
        self.fractions = self._fractions(validation_fraction, test_fraction)

    @abstractmethod
    def tracks(self) -> Tracks:
        """Return the recordings."""

    @property
    def task(self) -> Task:
        """Features of a body in, the same features later out."""
        features, _, scale = self._prepared
        return Task(
            *("vectors", len(features), "values", len(features), "future"),
            labels=self._tracks.motifs or None,
            target_length=self.future,
            features=tuple(features),
            scale=scale,
        )

    def loader(self, split: Split) -> Loader | None:
        """Return the windows of `split` in batches, in order of time if held out; None where it has none."""
        return self._in_batches(split, self._prepared[1].get(split))

    @cached_property
    def _tracks(self) -> Tracks:
        return self.tracks()

    @cached_property
    def _prepared(self) -> tuple[list[str], dict[Split, "_Windows"], dict[str, list[float]]]:
        names, poses = self._poses()
        parts = self._parts(poses)
        median, deviation = robust_scale(np.concatenate([pose.features for pose in parts["train"]]))
        windows = {}
        for split, of_split in parts.items():
            scaled = [pose._replace(features=(pose.features - median) / deviation) for pose in of_split]
            starts = [self._starts(pose) for pose in scaled]
            if not any(len(of_pose) for of_pose in starts):
                raise self._no_window(split, scaled)
            windows[split] = _Windows(scaled, starts, self.window, self.future)
        return names, windows, {"mean": median.tolist(), "deviation": deviation.tolist()}

    def _poses(self) -> tuple[list[str], dict[Split, list["_Pose"]]]:
        """Return names of the features, and the whole recordings without their scale."""
        keypoints = self._tracks.keypoints
        constant: list[str] = []
        if self.origin is not None and self.ahead is not None:
            for role, name in (("origin", self.origin), ("ahead", self.ahead)):
                if name not in keypoints:
                    raise self._wrong(
                        f"{role} is {name}, which is no keypoint; allowed are {', '.join(keypoints)}."
                    )
            constant = [f"{self.origin}_x", f"{self.origin}_y", f"{self.ahead}_y"]
        names = [f"{keypoint}_{axis}" for keypoint in keypoints for axis in "xy"]
        varying = [name not in constant for name in names]

        def pose(track: Track) -> _Pose:
            try:
                track, gaps = interpolated(track, keypoints, self.confidence)
            except UserError as error:
                raise self._wrong(str(error)) from None
            points = track.points
            if self.origin is not None and self.ahead is not None:
                points = egocentric(points, keypoints.index(self.origin), keypoints.index(self.ahead))
            usable = gaps <= (np.inf if self.longest_gap is None else self.longest_gap)
            return _Pose(track.name, points.reshape(len(points), -1)[:, varying], usable, track.motifs)

        kept = [name for name, varies in zip(names, varying, strict=True) if varies]
        return kept, {split: [pose(track) for track in tracks] for split, tracks in self._tracks.of.items()}

    def _parts(self, poses: dict[Split, list["_Pose"]]) -> dict[Split, list["_Pose"]]:
        """Take the splits that the data lacks from the end of its training recordings."""
        lacking = [split for split, part in self.fractions.items() if split not in poses and part > 0]
        parts: dict[Split, list[_Pose]] = {"train": [], **{split: [] for split in lacking}}
        for pose in poses["train"]:
            frames = len(pose.features)
            counts = [round(frames * self.fractions[split]) for split in lacking]
            end = frames - sum(counts)
            parts["train"].append(pose.part(0, end))
            for split, count in zip(lacking, counts, strict=True):
                parts[split].append(pose.part(end, end + count))
                end += count
        return {**poses, **parts}

    def _starts(self, pose: "_Pose") -> NDArray[np.int64]:
        """Return the frames at which windows start."""
        span = self.window + self.future
        starts = np.arange(0, len(pose.features) - span + 1, self.stride)
        unusable = np.concatenate([[0], np.cumsum(~pose.usable)])
        return starts[unusable[starts + span] == unusable[starts]] if len(starts) else starts

    def _no_window(self, split: Split, poses: list["_Pose"]) -> UserError:
        longest = max(poses, key=lambda pose: len(pose.features))
        frames, span = len(longest.features), f"{self.window} + {self.future}"
        if frames < self.window + self.future:
            return self._wrong(
                f"the longest recording, {longest.name}, has {frames} frames for {split}; a window and its"
                f" future take {span}."
            )
        return self._wrong(
            f"every stretch of {span} frames for {split} has a keypoint that is uncertain for more than"
            f" longest_gap ({self.longest_gap}) frames."
        )


class _Pose(NamedTuple):
    """A recording, or part of one, as features.

    Attributes:
        name: of the recording.
        features: (frames, features).
        usable: whether no keypoint is interpolated over too long a gap, (frames,).
        motifs: see `Track`.
    """

    name: str
    features: Floats
    usable: NDArray[np.bool_]
    motifs: NDArray[np.int64] | None

    def part(self, start: int, end: int) -> "_Pose":
        """Return some of its frames."""
        motifs = None if self.motifs is None else self.motifs[start:end]
        return _Pose(self.name, self.features[start:end], self.usable[start:end], motifs)


class _Windows(Dataset[Batch]):
    """Batches of the windows that a key lists."""

    def __init__(
        self, poses: Sequence[_Pose], starts: Sequence[NDArray[np.int64]], window: int, future: int
    ) -> None:
        before = np.cumsum([0, *(len(pose.features) for pose in poses[:-1])])
        known = [
            np.full(len(pose.features), IGNORED) if pose.motifs is None else pose.motifs for pose in poses
        ]
        self.frames = torch.tensor(np.concatenate([pose.features for pose in poses]), dtype=torch.float32)
        self.motifs = torch.tensor(np.concatenate(known))
        self.starts = torch.tensor(
            np.concatenate([first + own for first, own in zip(before, starts, strict=True)])
        )
        self.window, self.span = window, torch.arange(window + future)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        starts = self.starts[list(rows)]
        frames = self.frames[starts.unsqueeze(1) + self.span]
        inputs, targets = frames[:, : self.window], frames[:, self.window :]
        return Batch(inputs, targets, motifs=self._middle(starts))

    def _middle(self, starts: Tensor) -> Tensor:
        return self.motifs[starts + self.window // 2]
