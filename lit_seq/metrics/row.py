"""What metrics of texts compare."""

from collections.abc import Sequence

Row = tuple[str, Sequence[str]]
"""An answer, and the references of which any would be right."""
