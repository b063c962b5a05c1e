"""One input without time in, one answer out."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.samples import Sample
from lit_seq.topologies.comparison import METRICS, answer_rows, compare, derived
from lit_seq.topologies.convolution import ConvNet
from lit_seq.topologies.examples import answered, first
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.topology import Topology

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


class OneToOne(Topology):
    """One-to-one: the feed-forward network, a baseline without time.

        h^0 = x,  h^l = φ(W^l h^{l-1} + b^l),  y = W h^L + b

    (Rumelhart, Hinton & Williams 1986). Of an image x is all its pixels, or what a small convolutional
    network says of it. Cross-entropy in nats, or mean squared error.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        hidden_size: features of each hidden layer.
        layers: L, hidden layers; 0 is a linear model.
        activation: φ.
        dropout: probability of zeroing a feature of a hidden layer.
        image_features: features that a convolutional network makes of an image; None takes its pixels.

    Raises:
        UserError: it cannot serve `task`, or an option is out of its range.
    """

    alignments = ("sequence",)
    kinds = ("vector", "image")
    metrics: ClassVar[tuple[str, ...]] = METRICS
    values: ClassVar[tuple[str, ...]] = ("dropout",)

    def __init__(
        self,
        task: Task | dict[str, Any],
        hidden_size: int = 128,
        layers: int = 1,
        activation: Literal["relu", "tanh", "sigmoid", "gelu"] = "relu",
        dropout: float = 0.0,
        image_features: int | None = None,
    ) -> None:
        super().__init__(
            task,
            hidden_size=hidden_size,
            layers=layers,
            activation=activation,
            dropout=dropout,
            image_features=image_features,
        )
        if layers < 0 or hidden_size < 1:
            raise UserError(
                f"OneToOne: layers is {layers} and hidden_size {hidden_size}; they must be at least 0 and 1."
            )
        if not 0 <= dropout < 1:
            raise UserError(f"OneToOne: dropout is {dropout}; it must be at least 0 and below 1.")
        self.sight, size = self._sight(image_features)
        hidden: list[nn.Module] = []
        for _ in range(layers):
            hidden += [nn.Linear(size, hidden_size), ACTIVATIONS[activation](), nn.Dropout(dropout)]
            size = hidden_size
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Linear(size, self.task.target_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return y, (batch, target_size)."""
        return self.head(self.hidden(self.sight(inputs)))

    def measure(self, batch: Batch, state: Any = None) -> Measured:
        """Return loss and metrics of one batch."""
        outputs = self(batch.inputs)
        return Measured(*compare(self.task, outputs, batch.targets, whole_epoch=not self.training))

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Topology.derived`."""
        return derived(means)

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return class and probability, or values or bits, for each input, beside its target."""
        return answer_rows(self.task, self(batch.inputs), batch.targets)

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return the answers to the first inputs."""
        batch = first(batches)
        return [] if batch is None else answered(self.task, batch, self.predictions(batch))

    def _sight(self, image_features: int | None) -> tuple[nn.Module, int]:
        """Return what turns inputs into features, and how many they are."""
        if self.task.inputs == "vector":
            if image_features is not None:
                raise UserError(f"OneToOne: image_features is {image_features}; for vectors it must be null.")
            return nn.Identity(), self.task.input_size
        if self.task.image_size is None:
            raise UserError("OneToOne needs images of one size, and this data does not say which.")
        if image_features is not None:
            return ConvNet(self.task.input_size, self.task.image_size, image_features), image_features
        height, width = self.task.image_size
        return nn.Flatten(1), self.task.input_size * height * width
