"""One input without time in, a sequence out."""

from collections.abc import Callable
from typing import Any, Literal

from lit_seq.cores import Core, Stack
from lit_seq.cores.attention import Score
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.convolution import ConvNet
from lit_seq.topologies.decoding import Context, Decoder, Encoded, Greedy, Search, Writer


class OneToMany(Writer):
    """One-to-many: an image to its caption, a vector to a sequence.

    An image is seen through a small convolutional network (Vinyals, Toshev, Bengio & Erhan 2015); what it
    says of the whole, or the vector as it is, is the initial state of the core that writes, enters each of
    its steps, or both. With attention the core also looks at each place of the image (Xu et al. 2015, soft
    attention), after its recurrence: see `lit_seq.topologies.decoding.Decoder`.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: what writes, a causal `Core` class with its options.
        embedding_size: features of a written token's learned embedding; None feeds one-hot vectors.
        image_features: features of an image as a whole, and of each of its places.
        context: whether the input is the initial state, enters every step, or both; other cores than `Stack`
            need "input".
        attention: how attention over an image's places compares, see `lit_seq.cores.Attention`; None goes
            without.
        attention_size: features of its additive score.
        heads: number of its alignments.
        ending: whether an answer ends where the end token is written, or after a number of tokens that is
            predicted from the input.
        sampling: probability of reading the model's own token in training (scheduled sampling).
        sampling_steps: training steps until that is reached, from 0 on a straight line; 1: at once.
        decoding: how answers are searched in testing and prediction: `Greedy`, `Beam` or `Sampled`.
        text_metrics: what validation says of the answers, such as [bleu]; None: all that suits the unit of
            the targets but METEOR and chrF, which take long. Testing says all that suits.

    Raises:
        UserError: it cannot serve `task` or use the core, or a vector has no places to attend to.
    """

    kinds = ("vector", "image")

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
        image_features: int = 64,
        context: Context = "state",
        attention: Score | None = None,
        attention_size: int = 64,
        heads: int = 1,
        ending: Literal["token", "length"] = "token",
        sampling: float = 0.0,
        sampling_steps: int = 1,
        decoding: Callable[[int, int], Search] = Greedy,
        text_metrics: list[str] | None = None,
    ) -> None:
        super().__init__(
            task,
            sampling,
            sampling_steps,
            decoding,
            text_metrics,
            core=core,
            embedding_size=embedding_size,
            image_features=image_features,
            context=context,
            attention=attention,
            attention_size=attention_size,
            heads=heads,
            ending=ending,
        )
        self.network: ConvNet | None = None
        if self.task.inputs == "image":
            if self.task.image_size is None:
                raise UserError("OneToMany needs images of one size, and this data does not say which.")
            self.network = ConvNet(self.task.input_size, self.task.image_size, image_features)
        elif attention is not None:
            raise UserError(
                f"OneToMany: attention is {attention}, but a vector has no places to look at; it must be"
                " null."
            )
        assert self.task.target_length is not None
        self.decoder = Decoder(
            core,
            self.task.target_size,
            self.end,
            embedding_size,
            self.task.input_size if self.network is None else image_features,
            context,
            None if attention is None else image_features,
            attention or "general",
            attention_size,
            heads,
            self.task.target_length - 1 if ending == "length" else None,
        )

    def encode(self, batch: Batch) -> Encoded:
        """Return the vector, or what the convolutional network says of the image and of its places."""
        if self.network is None:
            return Encoded(batch.inputs)
        grid = self.network.grid(batch.inputs)
        summary = self.network.summary(grid)
        return Encoded(summary) if self.decoder.attention is None else Encoded(summary, grid.transpose(0, 1))

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the places of an image."""
        return None if self.network is None else self.network.grid_size
