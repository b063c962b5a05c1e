"""Dataclasses → what JSON can hold."""

import math
from dataclasses import fields, is_dataclass
from typing import Any, get_args

from lit_seq.samples import Sample, to_line


def plain(value: Any) -> Any:
    """Turn dataclasses and named tuples into mappings, paths into texts, NaN and infinities into None."""
    if isinstance(value, get_args(Sample)):
        return plain(to_line(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | None):
        return value
    return str(value)
