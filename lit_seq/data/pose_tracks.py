"""Tracks of a body's keypoints: what is uncertain filled in, and seen from the body itself."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_seq.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Track(NamedTuple):
    """One recording of a moving body.

    Attributes:
        name: what to call the recording.
        points: where the keypoints are, (frames, keypoints, 2), in pixels; not finite where they were not
            found.
        confidence: how sure the tracker is of each, (frames, keypoints), from 0 to 1.
        motifs: number of what the body is known to be doing, (frames,); None where nobody knows.
    """

    name: str
    points: Floats
    confidence: Floats
    motifs: NDArray[np.int64] | None = None


def interpolated(track: Track, keypoints: list[str], threshold: float) -> tuple[Track, Floats]:
    """Fill in keypoints that are not found or less certain than `threshold`, linearly between those that are.

    Before its first and behind its last sight a keypoint stays where it was seen.

    Args:
        track: the recording.
        keypoints: names of the keypoints.
        threshold: least confidence that counts.

    Returns:
        The recording without gaps; and for each frame the length of the longest gap, of any keypoint, that it
        lies in, (frames,), 0 where all are seen.

    Raises:
        UserError: a keypoint is never seen.
    """
    finite = np.logical_and.reduce(np.isfinite(track.points), axis=-1)
    seen: Bools = finite & (np.nan_to_num(track.confidence) >= threshold)
    points, frames = track.points.copy(), np.arange(len(track.points))
    gaps = np.zeros(len(frames))
    for index, name in enumerate(keypoints):
        sight = frames[seen[:, index]]
        if not len(sight):
            reason = (
                f"is below the confidence {threshold} in every frame"
                if finite[:, index].any()
                else "has no finite position in any frame"
            )
            raise UserError(f"the keypoint {name} of {track.name} {reason}.")
        for axis in range(2):
            points[:, index, axis] = np.interp(frames, sight, points[sight, index, axis])
        gaps = np.maximum(gaps, gap_lengths(seen[:, index]))
    return track._replace(points=points), gaps


def gap_lengths(seen: Bools) -> Floats:
    """Return for each frame how many frames the gap has that it lies in, (frames,); 0 where seen."""
    # Frames between the same two sights have seen the same number of sights before them.
    sights = np.cumsum(seen, dtype=np.int64)
    unseen = np.bincount(sights, np.logical_not(seen))
    return np.where(seen, 0, unseen[sights])


def egocentric(points: Floats, origin: int, ahead: int) -> Floats:
    """Turn and move every frame so that one keypoint lies at (0, 0) and another on the positive x axis.

        p' = R(-θ) (p - p_origin),  θ the direction from `origin` to `ahead`

    Args:
        points: (frames, keypoints, 2).
        origin: index of the keypoint at (0, 0).
        ahead: index of the keypoint on the x axis.
    """
    moved = points - points[:, origin : origin + 1]
    angle = np.arctan2(moved[:, ahead, 1], moved[:, ahead, 0])
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = moved[..., 0], moved[..., 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x], -1)


def robust_scale(frames: Floats) -> tuple[Floats, Floats]:
    """Return each feature's median, and its interquartile range in standard deviations of a Gaussian.

    Tracking errors, however wild, hardly move either. A feature of which half the values are the same has
    its standard deviation instead, or 1 where all are.

    Args:
        frames: (frames, features).
    """
    low, median, high = np.quantile(frames, [0.25, 0.5, 0.75], axis=0)
    deviation = frames.std(0)
    spread = np.where(high > low, (high - low) / _GAUSSIAN_RANGE, deviation)
    return median, np.where(spread > 0, spread, 1.0)


_GAUSSIAN_RANGE = 1.3489795003921634
"""Interquartile range of the standard normal distribution."""
