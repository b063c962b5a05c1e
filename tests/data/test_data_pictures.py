import base64
import io

import pytest
import torch
from PIL import Image

from lit_seq.data.pictures import data_uri


def shown(picture):
    """Decode a data URI with Pillow, undoing the enlargement by `larger`."""
    kind, content = data_uri(picture).split(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_colour_image_keeps_its_pixels_each_a_square():
    picture = torch.rand(3, 40, 50)
    image = shown(picture)
    assert (image.mode, image.size) == ("RGB", (100, 80))
    for row, column in [(0, 0), (13, 47), (39, 49)]:
        expected = tuple(round(255 * value) for value in picture[:, row, column].tolist())
        for dx, dy in [(0, 0), (1, 1)]:
            assert image.getpixel((2 * column + dx, 2 * row + dy)) == expected


def test_grey_images_and_odd_channels_are_grey_and_brightness_is_clamped():
    image = shown(torch.tensor([[[-1.0, 2.0], [0.2, 0.4]]]).expand(1, 2, 2))
    assert (image.mode, image.size) == ("L", (64, 64))
    assert [image.getpixel(at) for at in [(0, 0), (63, 0), (0, 63), (63, 63)]] == [0, 255, 51, 102]
    two = torch.stack([torch.full((64, 8), 0.2), torch.full((64, 8), 0.6)])
    assert shown(two).getpixel((3, 3)) == 102


@pytest.mark.parametrize(("frames", "expected"), [(3, [0, 1, 2]), (19, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18])])
def test_a_film_is_a_strip_of_at_most_ten_frames(frames, expected):
    film = (torch.arange(frames) / 255).view(-1, 1, 1, 1).expand(-1, 1, 64, 5)
    image = shown(film)
    assert image.size == (len(expected) * 6 - 1, 64)
    assert [image.getpixel((place * 6 + 4, 9)) for place in range(len(expected))] == expected
    assert {image.getpixel((place * 6 + 5, 9)) for place in range(len(expected) - 1)} == {255}
