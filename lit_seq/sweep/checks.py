"""Checks on plain data that answer with one sentence: what is wrong, where, what is allowed."""

import difflib
from collections.abc import Collection
from typing import Any

from lit_seq.errors import UserError


def mapping(
    value: Any, where: str, allowed: Collection[str], required: Collection[str] = ()
) -> dict[str, Any]:
    """Return `value` if it is a mapping with known keys.

    Args:
        value: what stands in the file.
        where: file and key, for messages.
        allowed: keys that it may have.
        required: keys that it must have.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where} must be a mapping with the keys {', '.join(allowed)}, not {show(value)}.")
    for key in value:
        if key not in allowed:
            raise UserError(
                f"{where}: unknown key {key!r}{did_you_mean(key, allowed)}; allowed: {', '.join(allowed)}."
            )
    for key in required:
        if key not in value:
            raise UserError(f"{where} lacks the key {key!r}.")
    return value


def text(value: Any, where: str) -> str:
    """Return `value` if it is a text that is not empty.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where} must be a text, not {show(value)}.")
    return value


def choice(value: Any, where: str, allowed: Collection[str]) -> str:
    """Return `value` if it is one of `allowed`.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, str) or value not in allowed:
        hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
        raise UserError(f"{where} is {show(value)}{hint}; allowed: {', '.join(allowed)}.")
    return value


def number(value: Any, where: str) -> int | float:
    """Return `value` if it is a number that a float can hold.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UserError(f"{where} must be a number, not {show(value)}.")
    try:
        float(value)
    except OverflowError:
        raise UserError(f"{where} is {show(value)}, which is too large for a float.") from None
    return value


def positive(value: Any, where: str) -> int | float:
    """Return `value` if it is a number above zero.

    Raises:
        UserError: it is not.
    """
    if number(value, where) <= 0:
        raise UserError(f"{where} must be above 0, not {show(value)}.")
    return value


def whole(value: Any, where: str) -> int:
    """Return `value` if it is an integer.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{where} must be a whole number, not {show(value)}.")
    number(value, where)
    return value


def truth(value: Any, where: str) -> bool:
    """Return `value` if it is true or false.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, bool):
        raise UserError(f"{where} must be true or false, not {show(value)}.")
    return value


def filled_list(value: Any, where: str) -> list[Any]:
    """Return `value` if it is a list with something in it.

    Raises:
        UserError: it is not.
    """
    if not isinstance(value, list) or not value:
        raise UserError(f"{where} must be a list with at least one element, not {show(value)}.")
    return value


def did_you_mean(word: str, allowed: Collection[str]) -> str:
    """Return " (did you mean …?)" where one of `allowed` is close to `word`."""
    close = difflib.get_close_matches(word, list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def show(value: Any) -> str:
    """Return `value` as it may stand in a sentence."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
