"""What topologies have in common that answer by a sequence of tokens."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.cores import CoreState
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.errors import UserError
from lit_seq.metrics.row import Row
from lit_seq.metrics.texts import TEXT_METRICS, text_scores
from lit_seq.metrics.texts import text_metrics as suitable
from lit_seq.samples import Alignment, Answer, Sample
from lit_seq.scan.padding import readable
from lit_seq.topologies.decoding.decoder import Decoder, DecoderState, Encoded
from lit_seq.topologies.decoding.sampling import ScheduledSampling
from lit_seq.topologies.decoding.search import Greedy, Search
from lit_seq.topologies.examples import first, shown_inputs
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.topology import Topology


class Writer(Topology):
    """Encodes an input and lets a `Decoder` write the answer.

    Training reads the right tokens (teacher forcing), or with `sampling` now and then the model's own, found
    step by step without a gradient before all steps are computed anew (`ScheduledSampling`). Loss is the
    cross-entropy in nats a token, the end token included; where the number of tokens is predicted, it takes
    the end token's place, so that the loss of a sequence is -ln p(y) either way.

    Accuracy, loss and perplexity on held-out data are those of teacher forcing. All other metrics, those of
    `lit_seq.metrics.texts.TEXT_METRICS`, are of what the model writes: in validation `Greedy`, in testing and
    prediction as `decoding` says.

    Args:
        task: what the data offers.
        sampling: probability of reading the model's own token in training.
        sampling_steps: training steps until it is reached, from 0 on a straight line.
        decoding: how answers are searched in testing and prediction.
        text_metrics: what validation says of the answers; None: all that suits the unit of the targets but
            METEOR and chrF, which take long. Testing says all that suits.
        options: all other arguments of the subclass's constructor, as they were given.

    Raises:
        UserError: this topology cannot serve `task`, or an option is out of its range.
    """

    alignments = ("own",)
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy", "perplexity", *TEXT_METRICS)
    values: ClassVar[tuple[str, ...]] = ("sampling", "sampling_steps")
    scheduled = True

    decoder: Decoder

    def __init__(
        self,
        task: Task | dict[str, Any],
        sampling: float,
        sampling_steps: int,
        decoding: Callable[[int, int], Search],
        text_metrics: list[str] | None,
        **options: Any,
    ) -> None:
        super().__init__(
            task,
            sampling=sampling,
            sampling_steps=sampling_steps,
            decoding=decoding,
            text_metrics=text_metrics,
            **options,
        )
        if self.task.target_vocabulary is None or self.task.target_length is None:
            raise UserError(f"{type(self).__name__} needs targets with a vocabulary and a greatest length.")
        self.vocabulary = Vocabulary.from_dict(self.task.target_vocabulary)
        if self.vocabulary.end is None:
            raise UserError(f"{type(self).__name__} needs a vocabulary of targets with an end token.")
        self.end = self.vocabulary.end
        self.sampling = ScheduledSampling(sampling, sampling_steps)
        self.greedy = Greedy(self.end, self.task.target_length)
        self.decoding = decoding(self.end, self.task.target_length)
        self.text_metrics = self._quick() if text_metrics is None else text_metrics
        if unknown := [name for name in self.text_metrics if name not in TEXT_METRICS]:
            raise UserError(f"There is no text metric {unknown[0]}; allowed: {', '.join(TEXT_METRICS)}.")
        self._testing = False

    @abstractmethod
    def encode(self, batch: Batch) -> Encoded:
        """Return what the decoder is told of the inputs."""

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return loss and metrics of one batch; on held-out data also what the model writes.

        Raises:
            UserError: a source or a target is empty.
        """
        self._check(batch)
        encoded = self.encode(batch)
        start = self.decoder.start(encoded)
        scores, _, _ = self.decoder(self._fed(batch.targets, start), start)
        means, counted = self._compared(scores, batch.targets.transpose(0, 1), encoded.summary)
        search = self.decoding if self._testing else self.greedy
        answers = () if self.training else self._written(batch, start, search)
        return Measured(means, counted, (), answers)

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the perplexity e^loss."""
        return {"perplexity": means["loss"].exp()}

    def rows(self, batch: Batch, answers: Tensor) -> list[Row]:
        """Return what was written and what is right, as texts."""
        decode = self.vocabulary.decode
        right = [decode(target[target != IGNORED]) for target in batch.targets]
        return [(decode(answer), [target]) for answer, target in zip(answers, right, strict=True)]

    def scored(self, rows: list[Row]) -> dict[str, float]:
        """Return the metrics of what was written."""
        return text_scores(rows, suitable(self.vocabulary.unit) if self._testing else self.text_metrics)

    def on_test_start(self) -> None:
        """Write as `decoding` says, and say all of it."""
        self._testing = True

    def on_test_end(self) -> None:
        """Write greedily again."""
        self._testing = False

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return what is written for each input, beside the input and the target."""
        written = self._written(batch, self.decoder.start(self.encode(batch)), self.decoding)
        return [
            {
                **({"input": text} if image is None else {"image": image}),
                "prediction": output,
                "target": target,
            }
            for (text, image), (output, (target,)) in zip(
                shown_inputs(self.task, batch), self.rows(batch, written), strict=True
            )
        ]

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return answers beside what is right, and where the model looked."""
        batch = first(batches)
        if batch is None:
            return []
        start = self.decoder.start(self.encode(batch))
        written = self._written(batch, start, self.greedy)
        _, _, weights = self.decoder(self._before(written), start)
        samples: list[Sample] = []
        shown = shown_inputs(self.task, batch)
        for row, (output, (target,)) in enumerate(self.rows(batch, written)):
            text, image = shown[row]
            looked = None if weights is None else self._alignment(batch, row, written[row], weights[:, row])
            samples.append(Answer(text, target, output, image, looked))
        return samples

    def places(self, batch: Batch, row: int) -> list[str]:
        """Return the names of what attention looks at in one input; places of an image have none."""
        return []

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the places of an image."""
        return None

    def _alignment(self, batch: Batch, row: int, answer: Tensor, weights: Tensor) -> Alignment:
        """Return where the model looked to write one answer; `weights` is (time, heads, places)."""
        written = int((answer != self.end).sum()) + 1
        pieces, names = self.vocabulary.pieces(answer[:written]), self.places(batch, row)
        looked = weights[: len(pieces), :, : len(names) or None].mean(1)
        rounded = [[round(weight, 4) for weight in of] for of in looked.tolist()]
        return Alignment(pieces, names, rounded, self.grid)

    def _written(self, batch: Batch, start: DecoderState, search: Search) -> Tensor:
        """Return what the decoder writes, (batch, task.target_length)."""
        ends = torch.full((len(batch.inputs),), self.end, device=batch.inputs.device)
        return search(self.decoder.step, start, ends)

    def _before(self, targets: Tensor) -> Tensor:
        """Return the token before each of the targets, (batch, time)."""
        before = functional.pad(targets[:, :-1], (1, 0), value=self.end)
        return torch.where(before == IGNORED, self.end, before)

    def _fed(self, targets: Tensor, start: DecoderState) -> Tensor:
        """Return the tokens that the decoder reads where targets are known, (batch, time)."""
        before = self._before(targets)
        if not self.sampling.active:
            return before
        taught = self.sampling(before, self.trained_steps)
        if start.left is not None:
            start = start._replace(left=self._lengths(targets))
        return self._said(before, taught, start)

    @torch.no_grad()
    def _said(self, before: Tensor, taught: Tensor, state: DecoderState) -> Tensor:
        """Return `before` with the model's own tokens where it is not `taught`, found without dropout."""
        said, fed = before[:, 0], []
        self.decoder.eval()
        for right, use in zip(before.unbind(1), taught.unbind(1), strict=True):
            fed.append(torch.where(use, right, said))
            scores, state = self.decoder.step(fed[-1], state)
            said = scores.argmax(-1)
        self.decoder.train(self.training)
        return torch.stack(fed, 1)

    def _compared(self, scores: Tensor, targets: Tensor, summary: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return loss and accuracy, and over how many tokens; scores and targets have time first."""
        lengths = None if self.decoder.count is None else self._lengths(targets.transpose(0, 1))
        if lengths is not None:
            targets = torch.where(targets == self.end, IGNORED, targets)
        counted = targets != IGNORED
        flat = scores.flatten(0, 1), targets.flatten()
        lost = functional.cross_entropy(*flat, ignore_index=IGNORED, reduction="sum")
        right, number = ((scores.argmax(-1) == targets) & counted).sum(), counted.sum()
        if self.decoder.count is not None and lengths is not None:
            counts = self.decoder.count(summary)
            lost = lost + functional.cross_entropy(counts, lengths, reduction="sum")
            right, number = right + (counts.argmax(-1) == lengths).sum(), number + len(lengths)
        return {"loss": lost / number, "accuracy": right / number}, number

    def _lengths(self, targets: Tensor) -> Tensor:
        """Return how many tokens stand before the end token, (batch,), of (batch, time)."""
        return ((targets != IGNORED) & (targets != self.end)).sum(1)

    def _check(self, batch: Batch) -> None:
        if batch.lengths is not None and readable(batch.lengths) and int(batch.lengths.min()) < 1:
            raise UserError(f"{type(self).__name__}: a source is empty; each must have one step at least.")
        said = (batch.targets != IGNORED).any(1)
        if readable(said) and not bool(said.all()):
            raise UserError(f"{type(self).__name__}: a target is empty; each must have one token at least.")

    def _quick(self) -> list[str]:
        return [name for name in suitable(self.vocabulary.unit) if name not in ("chrf", "meteor")]
