"""A sequence in, a sequence of another length out."""

from collections.abc import Callable
from typing import Any

from lit_seq.cells import Jordan
from lit_seq.cores import Core, Stack
from lit_seq.cores.attention import Score
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.decoding import Context, Decoder, Encoded, Greedy, Search, Writer
from lit_seq.topologies.examples import steps, words
from lit_seq.topologies.features import Features


class EncoderDecoder(Writer):
    """Many-to-many of different lengths: translation, transcription, captions of videos.

    One core reads the input, another writes the answer until its end token. What the first says of the whole
    sequence, c, is the second's initial state (Sutskever, Vinyals & Le 2014), enters each of its steps (Cho
    et al. 2014), or both; and with attention the second also looks at each step that the first has read
    (Bahdanau, Cho & Bengio 2015), after its recurrence (Luong, Pham & Manning 2015): see
    `lit_seq.topologies.decoding.Decoder`.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        encoder: what reads, a `Core` class with its options.
        decoder: what writes, a causal `Core` class with its options.
        embedding_size: features of a token's learned embedding, of what is read and of what is written, or of
            a frame; None feeds one-hot vectors.
        context: whether c is the decoder's initial state, enters every step, or both; other cores than
            `Stack` need "input".
        attention: how attention compares, see `lit_seq.cores.Attention`; None goes without.
        attention_size: features of its additive score.
        heads: number of its alignments.
        sampling: probability of reading the model's own token in training (scheduled sampling).
        sampling_steps: training steps until that is reached, from 0 on a straight line; 1: at once.
        decoding: how answers are searched in testing and prediction: `Greedy`, `Beam` or `Sampled`.
        text_metrics: what validation says of the answers, such as [bleu]; None: all that suits the unit of
            the targets but METEOR and chrF, which take long. Testing says all that suits.

    Raises:
        UserError: it cannot serve `task`, or use the cores.
    """

    def __init__(
        self,
        task: Task | dict[str, Any],
        encoder: Callable[[int], Core] = Stack,
        decoder: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
        context: Context = "state",
        attention: Score | None = "general",
        attention_size: int = 64,
        heads: int = 1,
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
            encoder=encoder,
            decoder=decoder,
            embedding_size=embedding_size,
            context=context,
            attention=attention,
            attention_size=attention_size,
            heads=heads,
        )
        self.features = Features(self.task, embedding_size)
        self.encoder = encoder(self.features.output_size)
        if any(isinstance(module, Jordan) for module in self.encoder.modules()):
            raise UserError(
                "EncoderDecoder's encoder feeds no output back, which is the only memory of the cell Jordan;"
                " give it another cell."
            )
        width = self.encoder.output_size
        self.decoder = Decoder(
            decoder,
            self.task.target_size,
            self.end,
            embedding_size,
            width,
            context,
            None if attention is None else width,
            attention or "general",
            attention_size,
            heads,
        )

    def encode(self, batch: Batch) -> Encoded:
        """Return the encoder's summary, and its outputs where they are attended to."""
        outputs, state = self.encoder(self.features(batch.inputs), None, batch.lengths)
        summary = self.encoder.summary(state)
        return (
            Encoded(summary) if self.decoder.attention is None else Encoded(summary, outputs, batch.lengths)
        )

    def places(self, batch: Batch, row: int) -> list[str]:
        """Return a word for each step that was read."""
        return words(self.task, steps(batch, row))
