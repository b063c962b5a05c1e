"""A simulated animal that does one of seven things at a time."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lit_seq.data.loader import generator
from lit_seq.data.pose_tracks import Floats, Track
from lit_seq.data.pose_windows import PoseWindows, Tracks


class Manner(NamedTuple):
    """How the body is held and moved during a motif.

    Attributes:
        length: of the body, 1 at rest.
        bend: of the spine to the left, in radians a body length.
        reach: how far the forepaws are in front of the shoulders, in body lengths.
        spread: how far the paws are from the spine, in body lengths.
        step: swing of the paws along the body, in body lengths.
        nod: swing of the head across the body, in radians.
        tempo: swings a second.
        speed: body lengths a second.
    """

    length: float = 1.0
    bend: float = 0.0
    reach: float = 0.0
    spread: float = 0.2
    step: float = 0.0
    nod: float = 0.0
    tempo: float = 0.3
    speed: float = 0.0


_WALK = Manner(length=1.05, reach=0.05, step=0.15, tempo=1.5, speed=2.0)

MANNERS = {
    "rest": Manner(length=0.85, reach=-0.1, step=0.01),
    "walk": _WALK,
    "run": _WALK._replace(tempo=4.0, speed=6.0),
    "turn left": Manner(bend=0.7, step=0.12, tempo=1.5, speed=1.0),
    "turn right": Manner(bend=-0.7, step=0.12, tempo=1.5, speed=1.0),
    "groom": Manner(length=0.8, reach=0.05, spread=0.15, step=0.06, nod=0.3, tempo=4.0),
    "rear": Manner(length=0.7, reach=-0.05, spread=0.25, nod=0.3, tempo=1.0),
}
"""What the animal does; walk and run differ in tempo alone."""

KEYPOINTS = (
    *("nose", "left_ear", "right_ear", "neck", "left_forepaw", "right_forepaw"),
    *("left_hindpaw", "right_hindpaw", "tail_root"),
)

FRAMES_A_SECOND = 30
BODY = 60.0
"""Pixels of a body length."""

SETTLING = 0.15
"""Seconds in which the body comes 1/e closer to a new manner."""


class SimulatedPoses(PoseWindows):
    """Simulated poses: find out, unaided, which of seven things an animal is doing.

    A semi-Markov chain over rest, walk, run, turn left, turn right, groom and rear: each lasts at least
    `shortest` frames and for a geometrically distributed time beyond, and any other may follow. Each has a
    manner of its own to hold and move the body (`MANNERS`), between which the body glides. The animal wanders
    over the plane; its nine keypoints are seen from above at 30 frames a second, with Gaussian errors and,
    now and then, for some frames not at all: then their place is wrong and their confidence low. Made for
    this package, after the recordings of mice of Luxem et al. 2022.

    How recordings become windows is told by `lit_seq.data.pose_windows.PoseWindows`; `origin` is the
    tail_root and `ahead` the neck.

    Args:
        recordings: animals, each of its own size.
        frames: of each recording.
        shortest: least frames of a motif.
        duration: mean frames of a motif.
        noise: standard deviation of a keypoint's error, in pixels; a body has 60.
        lost: part of the frames in which a keypoint is not found.
        simulation_seed: decides the recordings; leave it alone to compare runs.
        windows: the arguments of `PoseWindows`.
    """

    def __init__(
        self,
        recordings: int = 6,
        frames: int = 4000,
        shortest: int = 60,
        duration: float = 120.0,
        noise: float = 0.5,
        lost: float = 0.02,
        simulation_seed: int = 0,
        origin: str = "tail_root",
        ahead: str = "neck",
        **windows: Any,
    ) -> None:
        super().__init__(origin=origin, ahead=ahead, **windows)
        self.recordings = self._at_least(1, recordings=recordings)
        self.frames = self._at_least(1, frames=frames)
        self.shortest = self._at_least(1, shortest=shortest)
        if not shortest <= duration < math.inf:
            raise self._wrong(
                f"duration is {duration}; it must be at least shortest, {shortest}, and finite."
            )
        if not 0 <= noise < math.inf:
            raise self._wrong(f"noise is {noise}; it must be at least 0 and finite.")
        if not 0 <= lost < 0.5:
            raise self._wrong(f"lost is {lost}; it must be at least 0 and below 0.5.")
        self.duration, self.noise, self.lost = duration, noise, lost
        self.simulation_seed = simulation_seed

    def tracks(self) -> Tracks:
        """Return the recordings, all of which are for training."""
        return Tracks(
            list(KEYPOINTS),
            {"train": [self._track(index) for index in range(self.recordings)]},
            tuple(MANNERS),
        )

    def _track(self, index: int) -> Track:
        # numpy's, which has the distributions that are wanted here
        random = np.random.default_rng(generator(self.simulation_seed, index).initial_seed())
        motifs = self._motifs(random)
        points = BODY * random.uniform(0.9, 1.1) * move(motifs, random)
        points += self.noise * random.standard_normal(points.shape)
        lost = _stretches(random, (self.frames, len(KEYPOINTS)), self.lost)
        points[lost] += BODY * random.standard_normal((lost.sum(), 2))
        confidence = np.where(lost, random.uniform(0, 0.5, lost.shape), random.uniform(0.95, 1, lost.shape))
        return Track(f"animal {index + 1}", points, confidence, motifs)

    def _motifs(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Draw the motif of each frame."""
        motifs: list[int] = []
        motif = int(random.integers(len(MANNERS)))
        while len(motifs) < self.frames:
            lasts = self.shortest + random.geometric(1 / (self.duration - self.shortest + 1)) - 1
            motifs += [motif] * int(lasts)
            motif = (motif + int(random.integers(1, len(MANNERS)))) % len(MANNERS)
        return np.array(motifs[: self.frames])


def move(motifs: NDArray[np.int64], random: np.random.Generator) -> Floats:
    """Return where the keypoints are, (frames, keypoints, 2), in body lengths.

    Args:
        motifs: what the animal does, a number of `MANNERS` a frame.
        random: decides the phase of the first step.
    """
    from scipy.signal import lfilter

    aims = np.array(list(MANNERS.values()))[motifs]
    keep = math.exp(-1 / (SETTLING * FRAMES_A_SECOND))
    # Each quantity moves towards its aim: h_t = keep·h_{t-1} + (1 - keep)·aim_t.
    held = lfilter([1 - keep], [1, -keep], aims, axis=0, zi=keep * aims[:1])[0]
    length, bend, reach, spread, step, nod, tempo, speed = held.T
    phase = random.uniform(0, 2 * np.pi) + np.cumsum(2 * np.pi * tempo / FRAMES_A_SECOND)
    turned = np.cumsum(bend * speed / FRAMES_A_SECOND)
    forward = np.stack([np.cos(turned), np.sin(turned)], -1)
    place = np.cumsum(speed[:, None] * forward / FRAMES_A_SECOND, 0)

    def on_body(along: Floats, across: Floats) -> Floats:
        """Return a place `along` the bent spine from the tail's root and `across` it to the left."""
        angle = bend * along
        # The arc of a circle; its chord for small angles is the sinc, which is defined at 0 too.
        chord = along * np.sinc(angle / (2 * np.pi))
        x, y = chord * np.cos(angle / 2), chord * np.sin(angle / 2)
        return np.stack([x - across * np.sin(angle), y + across * np.cos(angle)], -1)

    swing, head = step * np.sin(phase), nod * np.sin(phase)
    fore, hind, skull = 0.65 * length, 0.15 * length, 0.3 * length
    nothing = np.zeros_like(length)
    points = {
        "nose": on_body(0.75 * length + skull * np.cos(head), skull * np.sin(head)),
        "left_ear": on_body(0.85 * length, 0.12 + 0.1 * head),
        "right_ear": on_body(0.85 * length, -0.12 + 0.1 * head),
        "neck": on_body(0.75 * length, nothing),
        "left_forepaw": on_body(fore + reach + swing, spread),
        "right_forepaw": on_body(fore + reach - swing, -spread),
        "left_hindpaw": on_body(hind - swing, spread),
        "right_hindpaw": on_body(hind + swing, -spread),
        "tail_root": on_body(nothing, nothing),
    }
    body = np.stack([points[name] for name in KEYPOINTS], 1)
    left = np.stack([-forward[:, 1], forward[:, 0]], -1)
    return place[:, None] + body[..., :1] * forward[:, None] + body[..., 1:] * left[:, None]


def _stretches(random: np.random.Generator, shape: tuple[int, int], part: float) -> NDArray[np.bool_]:
    """Draw stretches of five frames that make up `part` of a table of frames."""
    starts = random.random(shape) < 1 - (1 - part) ** 0.2
    lost = starts.copy()
    for late in range(1, 5):
        lost[late:] |= starts[:-late]
    return lost
