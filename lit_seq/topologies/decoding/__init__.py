"""Answers that are sequences of tokens: what writes them, taught and free, and how the best is searched."""

from lit_seq.topologies.decoding.decoder import Context, Decoder, DecoderState, Encoded
from lit_seq.topologies.decoding.sampling import ScheduledSampling
from lit_seq.topologies.decoding.search import Beam, Greedy, Sampled, Search
from lit_seq.topologies.decoding.writer import Writer

__all__ = [
    "Beam",
    "Context",
    "Decoder",
    "DecoderState",
    "Encoded",
    "Greedy",
    "Sampled",
    "ScheduledSampling",
    "Search",
    "Writer",
]
