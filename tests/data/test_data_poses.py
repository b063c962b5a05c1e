"""Pose series: cleaned, seen from the body, scaled and cut into windows, from files of several layouts."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from lit_seq.data import IGNORED, Pose, SimulatedPoses
from lit_seq.data.pose_tracks import Track, egocentric, gap_lengths, interpolated, robust_scale
from lit_seq.data.simulated_poses import KEYPOINTS, MANNERS, move
from lit_seq.errors import UserError

NAMES = ["nose", "paw", "tail"]
WHOLE = {"validation_fraction": 0.0, "test_fraction": 0.0}


def wandering(frames, seed=0):
    """Points of three keypoints, (frames, 3, 2), and their confidence."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(frames, 1, 2)).cumsum(0) + 5 * random.normal(size=(frames, 3, 2))
    return points, random.uniform(0.95, 1, (frames, 3))


def table(points, confidence, pattern="{}_{}", kinds=("x", "y", "likelihood")):
    columns = {}
    for index, name in enumerate(NAMES):
        for kind, values in zip(kinds, (*points[:, index].T, confidence[:, index]), strict=True):
            columns[pattern.format(name, kind)] = values
    return pd.DataFrame(columns)


def written(folder, frame, name="tracks.csv"):
    frame.to_csv(folder / name, index=False)
    return {"path": "csv", "data_files": str(folder / name)}


def pose(source, **options):
    return Pose(**{"window": 5, "future": 3, "batch_size": 1000, **WHOLE, **source, **options})


def all_windows(data, split="train"):
    windows = data.loader(split).batches
    return windows[list(range(len(windows)))]


def test_gaps_are_as_long_as_nothing_is_seen():
    seen = np.array([0, 0, 1, 0, 1, 1, 0, 0, 0], dtype=bool)
    assert gap_lengths(seen).tolist() == [2, 2, 0, 1, 0, 0, 3, 3, 3]
    assert gap_lengths(~np.zeros(3, dtype=bool)).tolist() == [0, 0, 0]


def test_uncertain_and_missing_keypoints_lie_between_those_seen():
    points = np.zeros((6, 2, 2))
    points[:, 0, 0] = [9, 10, 99, np.nan, 40, 7]
    points[:, 0, 1] = [1, 2, 3, 4, 8, np.inf]
    confidence = np.ones((6, 2))
    confidence[2, 0], confidence[0, 0], confidence[1, 1] = 0.5, np.nan, 0.89
    track, gaps = interpolated(Track("film", points, confidence), ["nose", "tail"], 0.9)
    assert track.points[:, 0].tolist() == [[10, 2], [10, 2], [20, 4], [30, 6], [40, 8], [40, 8]]
    assert gaps.tolist() == [1, 1, 2, 2, 0, 1]
    with pytest.raises(
        UserError, match=r"the keypoint tail of film is below the confidence 0\.9 in every frame"
    ):
        interpolated(Track("film", points, confidence * [1, 0.5]), ["nose", "tail"], 0.9)
    points[:, 1] = np.nan
    with pytest.raises(UserError, match="the keypoint tail of film has no finite position in any frame"):
        interpolated(Track("film", points, confidence), ["nose", "tail"], 0.9)


def test_the_body_sees_itself_wherever_it_is_and_faces():
    random = np.random.default_rng(0)
    points, _ = wandering(20)
    seen = egocentric(points, 2, 0)
    np.testing.assert_allclose(seen[:, 2], 0, atol=1e-12)
    np.testing.assert_allclose(seen[:, 0, 1], 0, atol=1e-12)
    assert (seen[:, 0, 0] > 0).all()
    turns = np.exp(1j * random.uniform(0, 2 * np.pi, (20, 1)))
    elsewhere = (points[..., 0] + 1j * points[..., 1]) * turns + random.normal(size=(20, 1))
    elsewhere = np.stack([elsewhere.real, elsewhere.imag], -1)
    np.testing.assert_allclose(egocentric(elsewhere, 2, 0), seen, atol=1e-12)
    # neither stretched nor mirrored
    x, y = points[:, 1] - points[:, 2], points[:, 0] - points[:, 2]
    area = x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]
    np.testing.assert_allclose(seen[:, 1, 0] * seen[:, 0, 1] - seen[:, 1, 1] * seen[:, 0, 0], area, atol=1e-9)


def test_scales_are_robust():
    random = np.random.default_rng(0)
    frames = random.normal(3, 2, (4001, 4))
    frames[:100, 1] = 1e6
    frames[:, 2] = 7
    frames[:3200, 3] = 1
    median, deviation = robust_scale(frames)
    np.testing.assert_allclose(median, np.median(frames, 0))
    np.testing.assert_allclose(deviation[:2], stats.iqr(frames[:, :2], 0, scale="normal"))
    assert abs(deviation[1] - 2) < 0.2
    assert deviation[2] == 1
    np.testing.assert_allclose(deviation[3], frames[:, 3].std())


def test_windows_are_cut_from_scaled_frames_in_order(tmp_path):
    points, confidence = wandering(100)
    source = written(tmp_path, table(points, confidence))
    data = pose(source, origin="tail", ahead="nose", validation_fraction=0.2, test_fraction=0.1, stride=2)
    task = data.task
    assert (task.inputs, task.targets, task.alignment, task.target_length) == (
        "vectors",
        "values",
        "future",
        3,
    )
    assert task.features == ("nose_x", "paw_x", "paw_y")
    assert task.input_size == task.target_size == 3
    frames = egocentric(points, 2, 0).reshape(100, 6)[:, [0, 2, 3]]
    low, median, high = np.percentile(frames[:70], [25, 50, 75], axis=0)
    np.testing.assert_allclose(task.scale["mean"], median)
    np.testing.assert_allclose(task.scale["deviation"], (high - low) / (2 * stats.norm.ppf(0.75)))
    scaled = torch.tensor((frames - median) / task.scale["deviation"], dtype=torch.float32)
    for split, first, end in (("train", 0, 70), ("validation", 70, 90), ("test", 90, 100)):
        starts = list(range(first, end - 7, 2))
        batch = all_windows(data, split)
        torch.testing.assert_close(batch.inputs, torch.stack([scaled[s : s + 5] for s in starts]))
        torch.testing.assert_close(batch.targets, torch.stack([scaled[s + 5 : s + 8] for s in starts]))
        assert (batch.motifs == IGNORED).all()
    assert pose(source).loader("validation") is None
    assert pose(source).task.features == tuple(f"{name}_{axis}" for name in NAMES for axis in "xy")


def test_windows_avoid_long_gaps_and_ends_of_recordings(tmp_path):
    points, confidence = wandering(80)
    confidence[20:24, 1] = 0.1
    confidence[60, 0] = 0.1
    frame = table(points, confidence).assign(film=["a"] * 40 + ["b"] * 40)
    source = written(tmp_path, frame)
    with_gaps = pose(source, recording_column="film", longest_gap=None).loader("train").batches
    assert len(with_gaps) == 2 * (40 - 7)
    kept = pose(source, recording_column="film", longest_gap=3).loader("train").batches
    # A window of 8 frames touches the gap of 4 from 11 starts.
    assert kept.starts.tolist() == [s for s in with_gaps.starts.tolist() if not 13 <= s <= 23]
    confidence[::4, 0] = 0.1
    data = pose(written(tmp_path, table(points, confidence), "gaps.csv"), longest_gap=0)
    with pytest.raises(UserError, match=r"every stretch of 5 \+ 3 frames for train has a keypoint that is"):
        data.task  # noqa: B018


def test_splits_of_the_data_are_kept(tmp_path):
    frames = [table(*wandering(30, seed)) for seed in range(2)]
    for frame, name in zip(frames, ("one.csv", "two.csv"), strict=True):
        written(tmp_path, frame, name)
    files = {"train": str(tmp_path / "one.csv"), "test": str(tmp_path / "two.csv")}
    data = pose({"path": "csv", "data_files": files}, validation_fraction=0.5)
    assert [len(data.loader(split).batches) for split in ("train", "validation", "test")] == [8, 8, 23]


@pytest.mark.parametrize("layout", ["confidence", "sleap", "certain", "deeplabcut"])
def test_layouts_of_trackers(tmp_path, layout):
    points, confidence = wandering(40)
    confidence[7, 1] = 0.2
    points[9, 2] = np.nan
    plain = pose(written(tmp_path, table(points, confidence)))
    if layout == "deeplabcut":
        values = np.concatenate([points, confidence[..., None]], -1).reshape(40, 9)
        lines = [
            "scorer," + ",".join(["net"] * 9),
            "bodyparts," + ",".join(name for name in NAMES for _ in range(3)),
            "coords," + ",".join(["x", "y", "likelihood"] * 3),
            *(
                f"{i}," + ",".join("" if np.isnan(v) else repr(float(v)) for v in row)
                for i, row in enumerate(values)
            ),
        ]
        (tmp_path / "dlc.csv").write_text("\n".join(lines))
        data = pose({"path": "csv", "data_files": str(tmp_path / "dlc.csv")})
    elif layout == "sleap":
        frame = table(points, confidence, "{}.{}", ("x", "y", "score")).assign(
            **{"instance.score": 0.0, "track": "mouse"}
        )
        frame.to_parquet(tmp_path / "tracks.parquet")
        data = pose({"path": "parquet", "data_files": str(tmp_path / "tracks.parquet")})
    elif layout == "confidence":
        data = pose(written(tmp_path, table(points, confidence, kinds=("x", "y", "confidence")), "other.csv"))
    else:
        points[7, 1] = np.nan
        frame = table(points, confidence)
        data = pose(
            written(tmp_path, frame[[name for name in frame if "likelihood" not in name]], "other.csv")
        )
    assert data.task == plain.task
    for one, other in zip(all_windows(data), all_windows(plain), strict=True):
        torch.testing.assert_close(one, other)


def test_files_and_animals_of_deeplabcut(tmp_path):
    points = [wandering(20, seed)[0] for seed in range(2)]
    for name, xy in zip("ab", points, strict=True):
        lines = [
            "scorer," + ",".join(["net"] * 6),
            "individuals," + ",".join(["white"] * 6),
            "bodyparts," + ",".join(part for part in NAMES for _ in range(2)),
            "coords," + ",".join(["x", "y"] * 3),
            *(f"{i}," + ",".join(map(repr, row.tolist())) for i, row in enumerate(xy.reshape(20, 6))),
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    files = [str(tmp_path / f"{name}.csv") for name in "ab"]
    data = pose({"path": "csv", "data_files": files})
    assert data.task.features == tuple(f"white_{name}_{axis}" for name in NAMES for axis in "xy")
    batch = all_windows(data)
    assert len(batch.inputs) == 2 * 13
    scale = torch.tensor([data.task.scale[name] for name in ("mean", "deviation")])
    again = (batch.inputs[:, 0] * scale[1] + scale[0]).unflatten(1, (3, 2))
    wanted = torch.tensor(np.concatenate([xy[:13] for xy in points]), dtype=torch.float32)
    torch.testing.assert_close(again, wanted, rtol=1e-4, atol=1e-4)


def test_known_motifs_are_those_of_the_middle_frame(tmp_path):
    points, confidence = wandering(30)
    known = ["walk"] * 10 + [None] * 10 + ["rest"] * 10
    source = written(tmp_path, table(points, confidence).assign(state=known))
    data = pose(source, motif_column="state")
    assert data.task.labels == ("rest", "walk")
    wanted = [{"walk": 1, "rest": 0, None: IGNORED}[motif] for motif in known[2:25]]
    assert all_windows(data).motifs.tolist() == wanted


def test_refusals(tmp_path):
    points, confidence = wandering(30)
    frame = table(points, confidence)

    def refused(match, frame=frame, **options):
        with pytest.raises(UserError, match=match):
            pose(written(tmp_path, frame, f"{len(list(tmp_path.iterdir()))}.csv"), **options).task  # noqa: B018

    refused(r"has no column ear_x; its keypoints are nose, paw, tail\.", keypoints=["nose", "ear"])
    refused(r"has no column paw_y; its keypoints are nose, paw, tail\.", frame.drop(columns="paw_y"))
    refused(
        r"has no keypoints, columns such as nose_x and nose_y; its columns are a, b\.",
        pd.DataFrame({"a": [1], "b": [2]}),
    )
    refused(r"Pose: the keypoint paw of .* has no finite position in any frame", frame.assign(paw_x=np.nan))
    refused(
        r"the keypoint nose of .* is below the confidence 0\.999 in every frame",
        frame.assign(nose_likelihood=0.5),
        confidence=0.999,
    )
    refused(
        r"column nose_x of .* holds 'left' in frame 3, which is no number",
        frame.assign(nose_x=["1"] * 3 + ["left"] * 27),
    )
    refused(
        r"the longest recording, .*, has 7 frames for train; a window and its future take 5 \+ 3\.", frame[:7]
    )
    refused(
        r"the longest recording, .*, has 3 frames for validation; a window and its future take 5 \+ 3\.",
        validation_fraction=0.1,
    )
    refused(r"origin is ear, which is no keypoint; allowed are nose, paw, tail\.", origin="ear", ahead="nose")
    refused("origin is None and ahead nose; they must be two keypoints, or both null", ahead="nose")
    refused("origin is nose and ahead nose; they must be two keypoints", origin="nose", ahead="nose")
    refused(r"confidence is 1\.5; it must be from 0 to 1\.", confidence=1.5)
    refused("has no column state; its columns are nose_x", motif_column="state")
    refused("has no column film; its columns are nose_x", recording_column="film")
    refused("window is 1; it must be at least 2", window=1)
    for options, match in (
        ({"noise": -1.0}, "noise is -1"),
        ({"lost": 0.5}, r"lost is 0\.5; it must be at least 0 and below 0\.5\."),
        ({"duration": 10.0}, r"duration is 10\.0; it must be at least shortest, 60, and finite\."),
    ):
        with pytest.raises(UserError, match=match):
            SimulatedPoses(**options)


def test_the_simulated_animal_does_one_thing_at_a_time():
    data = SimulatedPoses(recordings=2, frames=20000, noise=0.1, lost=0.05)
    tracks = data.tracks()
    assert tracks.motifs == tuple(MANNERS)
    assert len(tracks.of["train"]) == 2
    track = tracks.of["train"][0]
    ends = np.flatnonzero(np.diff(track.motifs))
    lasts = np.diff(ends)
    assert lasts.min() >= 60
    assert abs(lasts.mean() - 120) < 4 * lasts.std() / np.sqrt(len(lasts))
    assert np.bincount(track.motifs).min() > 1000
    lost = track.confidence < 0.9
    assert abs(lost.mean() - 0.05) < 0.01
    # Behind the glide from one manner to the next, the body moves as its motif says.
    since = np.arange(20000) - np.concatenate([[0], ends + 1])[np.searchsorted(ends, np.arange(20000))]
    root = track.points[:, KEYPOINTS.index("tail_root")]
    steps = np.linalg.norm(np.diff(root, axis=0), axis=1)
    settled = (since[1:] > 40) & ~lost[1:, -1] & ~lost[:-1, -1]
    size = None
    for number, manner in enumerate(MANNERS.values()):
        speed = steps[settled & (track.motifs[1:] == number)].mean() * 30
        if manner.speed >= 1:
            size = size or speed / manner.speed
            assert abs(speed / (size * manner.speed) - 1) < 0.02
    assert 54 < size < 66
    again = SimulatedPoses(recordings=2, frames=20000, noise=0.1, lost=0.05, seed=5).tracks().of["train"][0]
    np.testing.assert_array_equal(again.points, track.points)
    other = SimulatedPoses(recordings=2, frames=20000, noise=0.1, lost=0.05, simulation_seed=1).tracks()
    assert not np.array_equal(other.of["train"][0].motifs, track.motifs)


def test_the_simulated_body_is_bent_and_swings_as_its_manner_says():
    still = move(np.full(90, list(MANNERS).index("turn left")), np.random.default_rng(0))
    seen = egocentric(still, KEYPOINTS.index("tail_root"), KEYPOINTS.index("neck"))[60:]
    manner = MANNERS["turn left"]
    # The neck lies at the end of an arc of 0.75 body lengths: its chord is 2 sin(θ/2) / curvature.
    angle = 0.75 * manner.bend
    np.testing.assert_allclose(
        seen[:, KEYPOINTS.index("neck"), 0], 2 * np.sin(angle / 2) / manner.bend, atol=1e-6
    )
    right = seen[:, KEYPOINTS.index("right_hindpaw"), 0] - seen[:, KEYPOINTS.index("left_hindpaw"), 0]
    frequencies = np.abs(np.fft.rfft(right[:20] - right[:20].mean()))
    assert frequencies.argmax() == round(manner.tempo * 20 / 30)
