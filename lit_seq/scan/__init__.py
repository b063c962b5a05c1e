"""Scan: running a cell along time."""

from lit_seq.scan.choice import Choice, implementation
from lit_seq.scan.interface import scan

__all__ = ["Choice", "implementation", "scan"]
