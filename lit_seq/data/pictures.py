"""Pictures as a person sees them: PNG files in a data URI."""

import base64
import io

import torch
from torch import Tensor
from torch.nn import functional

FRAMES = 10
"""Most frames of a film that are shown, evenly spread over it."""

HEIGHT = 64
"""Pixels that a picture should be high at least; a lower one is enlarged by a whole number."""


def data_uri(picture: Tensor) -> str:
    """Return a picture as the data URI of a PNG file.

    Args:
        picture: brightness 0 … 1 of an image, (channels, height, width), or of the frames of a film,
            (time, channels, height, width), which are shown side by side. Three channels are red, green and
            blue; of any other number the mean is shown in grey.
    """
    from PIL import Image

    frames = picture.detach().float().cpu().reshape(-1, *picture.shape[-3:])
    if len(frames) > FRAMES:
        frames = frames[torch.linspace(0, len(frames) - 1, FRAMES).round().long()]
    if frames.shape[1] != 3:
        frames = frames.mean(1, keepdim=True)
    larger = -(-HEIGHT // frames.shape[-2])
    frames = frames.repeat_interleave(larger, -2).repeat_interleave(larger, -1)
    gaps = functional.pad(frames, (0, larger), value=1.0)
    strip = torch.cat(gaps.unbind(), -1)[..., :-larger]
    pixels = (strip.clamp(0, 1) * 255).round().byte()
    image = Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
