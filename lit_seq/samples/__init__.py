"""What a person looks at to see what a model has learned: lines of samples.jsonl.

Topologies give samples (`lit_seq.topologies.Topology.samples`), training writes them at three moments, and
reports and W&B show them.
"""

from lit_seq.samples.kinds import (
    Alignment,
    Answer,
    Map,
    Matrix,
    Sample,
    Series,
    Statement,
    Tags,
    TreeLabels,
    Writing,
    from_line,
    to_line,
)

__all__ = [
    "Alignment",
    "Answer",
    "Map",
    "Matrix",
    "Sample",
    "Series",
    "Statement",
    "Tags",
    "TreeLabels",
    "Writing",
    "from_line",
    "to_line",
]
