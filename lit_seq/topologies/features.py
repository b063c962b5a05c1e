"""A batch's inputs as the features that a core reads."""

import torch
from torch import Tensor, nn

from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.convolution import ConvNet


class Features(nn.Module):
    """Inputs that go along time, as a core's (time, batch, features).

    Tokens become learned embeddings or one-hot vectors, frames what a convolutional net says of each; vectors
    enter as they are.

    Args:
        task: what the data offers.
        size: features of a token's learned embedding, None for one-hot vectors; or of a frame.

    Attributes:
        output_size: features of a step.

    Raises:
        UserError: frames have no `size`.
    """

    one: Tensor

    def __init__(self, task: Task, size: int | None) -> None:
        super().__init__()
        self.embedding: nn.Embedding | None = None
        self.frames: ConvNet | None = None
        self.symbols = task.input_size if task.inputs == "tokens" else None
        self.output_size = task.input_size
        # One-hot vectors take on the precision of the model.
        self.register_buffer("one", torch.ones(()), persistent=False)
        if task.inputs == "frames":
            if size is None or task.image_size is None:
                raise UserError("embedding_size is null; for frames it must say how many features each has.")
            self.frames = ConvNet(task.input_size, task.image_size, size)
            self.output_size = size
        elif self.symbols is not None and size is not None:
            self.embedding = nn.Embedding(task.input_size, size)
            self.output_size = size

    def forward(self, inputs: Tensor) -> Tensor:
        """Turn a batch of inputs, batch first, into the core's (time, batch, features)."""
        inputs = inputs.transpose(0, 1)
        if self.frames is not None:
            return self.frames(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
        if self.embedding is not None:
            return self.embedding(inputs)
        if self.symbols is not None:
            one_hot = inputs.unsqueeze(-1) == torch.arange(self.symbols, device=inputs.device)
            return one_hot.to(self.one.dtype)
        return inputs
