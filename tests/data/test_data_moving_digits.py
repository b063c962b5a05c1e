import pytest
import torch

from lit_seq.data import IGNORED, Digits, MovingDigits, Vocabulary
from lit_seq.errors import UserError

pytest.importorskip("sklearn.datasets")

MOVES = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


def moved(before, after):
    """Find by trial which way, and how far, one frame was shifted to give the next."""
    found = [
        (name, speed)
        for name, (down, right) in MOVES.items()
        for speed in (1, 2)
        if torch.equal(before.roll((down * speed, right * speed), (-2, -1)), after)
    ]
    assert len(found) == 1
    return found[0]


def films(asked, split="val", **arguments):
    data = MovingDigits(asked, batch_size=200, validation_size=200, test_size=200, seed=1, **arguments)
    return data, next(iter(getattr(data, f"{split}_dataloader")()))


def test_the_direction_is_that_in_which_each_frame_is_shifted():
    data, batch = films("direction")
    assert batch.inputs.shape == (200, 8, 1, 16, 16)
    speeds = set()
    for film, target in zip(batch.inputs, batch.targets.tolist(), strict=True):
        moves = {moved(*film[step : step + 2]) for step in range(7)}
        assert len(moves) == 1
        name, speed = moves.pop()
        assert name == data.task.labels[target]
        speeds.add(speed)
    assert speeds == {1, 2}
    assert batch.targets.bincount().tolist() == pytest.approx([50] * 4, abs=25)


def test_directions_are_of_each_step_and_change_at_times():
    data, batch = films("directions", frames=12, size=12)
    assert data.task.alignment == "step"
    assert (batch.targets[:, 0] == IGNORED).all()
    for film, targets in zip(batch.inputs, batch.targets.tolist(), strict=True):
        moves = [moved(*film[step : step + 2]) for step in range(11)]
        assert [data.task.labels[target] for target in targets[1:]] == [name for name, _ in moves]
        assert len({speed for _, speed in moves}) == 1
    # A new direction, which may be the old one, at one step in four.
    turns = (batch.targets[:, 2:] != batch.targets[:, 1:-1]).float().mean()
    assert turns.item() == pytest.approx(0.25 * 0.75, abs=0.04)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_digits_are_images_of_their_own_split(split):
    _, batch = films("digit", split)
    known = Digits(batch_size=2000, seed=0)
    images, digits, *_ = next(iter(getattr(known, f"{split}_dataloader")()))
    numbers = {
        tuple(image.flatten().tolist()): digit for image, digit in zip(images, digits.tolist(), strict=True)
    }
    for film, target in zip(batch.inputs[:50], batch.targets.tolist(), strict=False):
        # Wherever the image is, some shift brings it into the upper left corner.
        shifts = [film[3, 0].roll((row, column), (0, 1))[:8, :8] for row in range(16) for column in range(16)]
        found = {numbers.get(tuple(shift.flatten().tolist())) for shift in shifts} - {None}
        assert found == {target}


def test_captions_say_both():
    data, batch = films("caption")
    _, same = films("digit")
    _, ways = films("direction")
    vocabulary = Vocabulary.from_dict(data.task.target_vocabulary)
    assert torch.equal(batch.inputs, same.inputs)
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for tokens, digit, way in zip(batch.targets, same.targets.tolist(), ways.targets.tolist(), strict=True):
        assert vocabulary.decode(tokens) == f"{names[digit]} moves {tuple(MOVES)[way]}"
        assert tokens[-1] == vocabulary.end
    assert data.task.target_length == batch.targets.shape[1] == 4


def test_a_single_frame_does_not_tell_the_direction():
    _, batch = films("direction")
    # Mean place of a digit by direction: the same everywhere, as opposite sides of the canvas meet.
    places = torch.stack([batch.inputs[batch.targets == way, -1].mean(0) for way in range(4)])
    assert (places.mean((-2, -1)) / places.mean()).sub(1).abs().max() < 0.15


def test_held_out_films_depend_on_neither_seed_nor_batch_size():
    loaders = [
        MovingDigits(seed=seed, batch_size=size, validation_size=30) for seed, size in [(1, 7), (2, 30)]
    ]
    one, other = (torch.cat([batch.inputs for batch in data.val_dataloader()]) for data in loaders)
    assert torch.equal(one, other)
    first, second = (next(iter(data.train_dataloader())).inputs for data in loaders)
    assert not torch.equal(first[:7], second[:7])


def test_wrong_use_is_named():
    with pytest.raises(
        UserError, match=r"^MovingDigits: asked is 'speed'; allowed are direction, digit, directions"
    ):
        MovingDigits("speed")
    with pytest.raises(UserError, match=r"^MovingDigits: frames is 1; it must be at least 2"):
        MovingDigits(frames=1)
    with pytest.raises(UserError, match=r"^MovingDigits: size is 7; it must be at least 8"):
        MovingDigits(size=7)
