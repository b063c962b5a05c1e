"""Scan: running a cell along time."""

from lit_seq.scan.choice import Choice, implementation
from lit_seq.scan.interface import check_lengths, scan

__all__ = ["Choice", "check_lengths", "implementation", "scan"]
