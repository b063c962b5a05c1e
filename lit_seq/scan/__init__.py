"""Scan: running a cell along time."""

from lit_seq.scan.scan import scan

__all__ = ["scan"]
