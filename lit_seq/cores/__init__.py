"""What turns (time, batch, features) into (time, batch, features)."""

from lit_seq.cores.core import Core, CoreState
from lit_seq.cores.stack import Stack

__all__ = ["Core", "CoreState", "Stack"]
