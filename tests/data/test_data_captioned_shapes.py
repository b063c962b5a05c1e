import pytest
import torch

from lit_seq.data import IGNORED, CaptionedShapes, Vocabulary
from lit_seq.data.captioned_shapes import COLOURS
from lit_seq.errors import UserError

# What a person would draw, at the smallest size: rows of a shape's box.
DRAWN = {
    ("small", "circle"): ["  ###  ", " ##### ", "#######", "#######", "#######", " ##### ", "  ###  "],
    ("small", "square"): ["#####"] * 5,
    ("small", "triangle"): ["  #  ", "  #  ", " ### ", " ### ", "#####", "#####"],
    ("small", "cross"): ["  ###  ", "  ###  ", "#######", "#######", "#######", "  ###  ", "  ###  "],
    ("large", "square"): ["#########"] * 9,
    ("large", "cross"): ["    ###    "] * 4 + ["###########"] * 3 + ["    ###    "] * 4,
}


def looked_at(picture):
    """Describe each shape of a picture by its own pixels: colour, rows, and where its box is."""
    found = []
    for name, colour in COLOURS.items():
        mask = (picture == torch.tensor(colour)[:, None, None]).all(0)
        for part in parts(mask):
            rows, columns = part.any(1).nonzero().squeeze(1), part.any(0).nonzero().squeeze(1)
            box = part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            drawn = ["".join("#" if pixel else " " for pixel in row) for row in box.tolist()]
            found.append(
                (name, drawn, (rows[0] + rows[-1]).item() / 2, (columns[0] + columns[-1]).item() / 2)
            )
    return found


def parts(mask):
    """Split a mask into its connected parts."""
    left = {tuple(pixel) for pixel in mask.nonzero().tolist()}
    while left:
        reached, part = [left.pop()], torch.zeros_like(mask)
        while reached:
            row, column = reached.pop()
            part[row, column] = True
            for near in [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]:
                if near in left:
                    left.remove(near)
                    reached.append(near)
        yield part


def named(drawn):
    """Return size and shape of what is drawn, by its outline: see `DRAWN`."""
    for words, expected in DRAWN.items():
        if drawn == expected:
            return words
    widths = [row.count("#") for row in drawn]
    if widths == sorted(widths) and len(drawn) == 10:
        return "large", "triangle"
    assert widths == widths[::-1]
    assert len(drawn) == max(widths) == 11
    return "large", "circle"


@pytest.fixture(scope="module")
def pictures():
    data = CaptionedShapes(validation_size=1500, batch_size=1500)
    batch = next(iter(data.val_dataloader()))
    vocabulary = Vocabulary.from_dict(data.task.target_vocabulary)
    return batch, [vocabulary.decode(tokens[tokens != IGNORED]) for tokens in batch.targets]


def test_captions_say_what_there_is_and_where(pictures):
    batch, captions = pictures
    counts = {1: 0, 2: 0}
    for picture, caption in zip(batch.inputs, captions, strict=True):
        seen = looked_at(picture)
        if len(seen) == 1 and len(caption.split()) > 4:
            continue  # two of one colour that touch
        relation = "left of" if "left of" in caption else "above"
        seen.sort(key=lambda shape: shape[3] if relation == "left of" else shape[2])
        words = [f"a {size} {colour} {shape}" for colour, drawn, *_ in seen for size, shape in [named(drawn)]]
        assert caption == f" {relation} ".join(words)
        counts[len(seen)] += 1
        if len(seen) == 2:
            (_, _, row, column), (_, _, other_row, other_column) = seen
            along, across = abs(other_column - column), abs(other_row - row)
            assert along > across if relation == "left of" else along < across
    assert min(counts.values()) > 600


def test_nothing_is_cut_off_at_the_border(pictures):
    batch, captions = pictures
    alone = set()
    for picture, caption in zip(batch.inputs, captions, strict=True):
        if "small" in caption and "square" in caption and len(caption.split()) == 4:
            assert (picture.sum(0) > 0).sum() == 25
            alone.add(caption)
    assert len(alone) == 4


def test_targets_end_by_the_end_token_and_ignored_behind(pictures):
    batch, captions = pictures
    data = CaptionedShapes()
    end = data.vocabulary.end
    assert batch.targets.shape == (1500, data.task.target_length) == (1500, 11)
    for tokens, caption in zip(batch.targets.tolist(), captions, strict=True):
        words = len(caption.split())
        assert words in (4, 9, 10)
        assert tokens[words:] == [end] + [IGNORED] * (10 - words)
    assert 0 not in batch.targets
    assert len(data.vocabulary) == data.task.target_size == 16


def test_larger_pictures_and_wrong_sizes():
    batch = next(iter(CaptionedShapes(size=48, batch_size=5, seed=1).train_dataloader()))
    assert batch.inputs.shape == (5, 3, 48, 48)
    assert 0 <= batch.inputs.min() < batch.inputs.max() <= 1
    with pytest.raises(UserError, match=r"^CaptionedShapes: size is 23; it must be at least 24\.$"):
        CaptionedShapes(size=23)
