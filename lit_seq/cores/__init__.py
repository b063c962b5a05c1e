"""What turns (time, batch, features) into (time, batch, features)."""

from lit_seq.cores.attention import Attended, Attention
from lit_seq.cores.attention_summary import AttentionSummary
from lit_seq.cores.core import Core, CoreState
from lit_seq.cores.delay_taps import DelayTaps
from lit_seq.cores.memory_network import MemoryNetwork
from lit_seq.cores.ntm import NTM
from lit_seq.cores.renet import ReNet, ReNetLayer
from lit_seq.cores.stack import Stack

__all__ = [
    "NTM",
    "Attended",
    "Attention",
    "AttentionSummary",
    "Core",
    "CoreState",
    "DelayTaps",
    "MemoryNetwork",
    "ReNet",
    "ReNetLayer",
    "Stack",
]
