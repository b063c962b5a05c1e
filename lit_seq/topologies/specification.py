"""Constructors as plain data, so that a checkpoint says how to build its model without pickled code."""

from functools import partial
from typing import Any


def describe(value: Any) -> Any:
    """Return `value` as plain data that the command line's parser turns back into it.

    A class, or a `functools.partial` of one with keyword arguments, becomes
    `{"class_path": …, "init_args": {…}}`; other plain values are returned as they are.

    Raises:
        TypeError: `value` is a function, such as a lambda, whose content no checkpoint can hold.
    """
    if isinstance(value, type):
        return {"class_path": f"{value.__module__}.{value.__qualname__}", "init_args": {}}
    if isinstance(value, partial):
        # jsonargparse's partials call a helper with the class as last positional argument.
        described = describe(value.args[-1] if value.args else value.func)
        arguments = {name: describe(argument) for name, argument in value.keywords.items()}
        return {**described, "init_args": {**described["init_args"], **arguments}}
    if isinstance(value, dict):
        return {name: describe(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"{value!r} cannot be described in a checkpoint; give a class, or functools.partial(CLASS, …)."
    )
