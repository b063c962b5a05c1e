"""What sees pictures: an image to features, as a whole or place by place."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """A small convolutional network for images, and for video a frame.

    3×3 convolutions with ReLU, each of which halves the image and doubles the channels (of 8 at least), until
    the shorter side is under 8 pixels, and one more: what is left is a grid of places. A linear layer with
    ReLU over all places summarises it, so that a feature of the whole can say where something is.

    There is no batch normalisation, which makes an answer depend on the other images of a batch, padding
    included; weights of variance 2/fan-in keep the activations' scale instead (He, Zhang, Ren & Sun 2015,
    eq. 10).

    Source: LeCun, Bottou, Bengio & Haffner 1998; strides in place of pooling after Springenberg, Dosovitskiy,
    Brox & Riedmiller 2015, which costs a third.

    Args:
        channels: channels of an image.
        image_size: height and width of an image.
        features: features of the whole and of each place.

    Attributes:
        grid_size: height and width of the grid of places.
        output_size: features of the whole and of each place.
    """

    def __init__(self, channels: int, image_size: tuple[int, int], features: int) -> None:
        super().__init__()
        sizes = [image_size]
        while min(sizes[-1]) >= 8:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        halvings = len(sizes) - 1
        widths = [min(features, max(8, features >> (halvings - layer))) for layer in range(len(sizes))]
        layers: list[nn.Module] = []
        for layer, (narrow, wide) in enumerate(pairwise([channels, *widths])):
            stride = 2 if layer < halvings else 1
            layers += [nn.Conv2d(narrow, wide, kernel_size=3, stride=stride, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.grid_size = sizes[-1]
        self.output_size = features
        self.whole = nn.Linear(self.grid_size[0] * self.grid_size[1] * features, features)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of each image as a whole, (n, features), of (n, channels, height, width)."""
        return self.summary(self.grid(images))

    def grid(self, images: Tensor) -> Tensor:
        """Return the features of each place of each image, row by row.

        Args:
            images: (n, channels, height, width).

        Returns:
            (n, places, features).
        """
        return self.convolutions(images).flatten(2).transpose(1, 2)

    def summary(self, grid: Tensor) -> Tensor:
        """Return the features of the whole, (n, features), of what `grid` gave."""
        return torch.relu(self.whole(grid.flatten(1)))
