"""Numbers and names as a person reads them."""

import math
from collections.abc import Sequence

_STAGES = {"train": "Training", "val": "Validation", "test": "Test"}


# Characters that have no shape of their own, or turn the direction of what stands behind them.
_HIDDEN = {
    code: "\ufffd"
    for codes in ((0x00, 0x09), (0x0B, 0x0D), (0x0E, 0x20), (0x7F, 0xA0), (0x202A, 0x202F), (0x2066, 0x206A))
    for code in range(*codes)
}


def visible(text: str) -> str:
    """Replace control characters, so that a text cannot change how the text around it is read."""
    return text.translate(_HIDDEN)


def number(value: float | None, digits: int = 4) -> str:
    """Write `value` with `digits` significant digits; a dash for None."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:#.{digits}g}".removesuffix(".")
    if abs(value) >= 10**digits and "e" in text and abs(value) < 1e7:
        text = f"{value:.0f}"
    return text.replace("-", "−")


def alike(values: Sequence[float], spread: float) -> list[str]:
    """Write values with the same decimals: two significant digits of their `spread`."""
    if not 1e-6 < spread < 1e6:
        return [number(value, 3) for value in values]
    decimals = max(0, 1 - math.floor(math.log10(spread)))
    return [f"{value:.{decimals}f}".replace("-", "−") for value in values]


def duration(seconds: float | None) -> str:
    """Write a time span."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{number(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def metric_name(metric: str) -> str:
    """Write "val/bits_per_character" as "Validation bits per character", of a diagnostic what it is."""
    stage, slash, rest = metric.partition("/")
    words = (rest if slash else stage).replace("_", " ")
    if stage == "diagnostics":
        return words[:1].upper() + words[1:]
    if slash:
        return f"{_STAGES.get(stage, stage)} {words}"
    return words


def metric_words(metric: str) -> str:
    """Write the metric for the middle of a sentence."""
    return without_capital(metric_name(metric))


def without_capital(text: str) -> str:
    """Write the first letter small."""
    return text[:1].lower() + text[1:]


def listing(words: Sequence[str]) -> str:
    """Join words with commas and a final "and"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def count(n: int, one: str, many: str | None = None) -> str:
    """Write "1 trial", "3 trials"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
