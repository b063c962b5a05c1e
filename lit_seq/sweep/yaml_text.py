"""YAML as W&B's client reads it, with its two silent traps made visible."""

import math
import re
from typing import Any

import yaml

from lit_seq.errors import UserError

# A number in YAML 1.2 and in everybody's mind, a text in YAML 1.1 and so for W&B's client.
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
_DEEPEST = 30


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that reads 1e-3 as a number, and takes no key twice."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.exponents: list[tuple[int, str]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)

    def construct_exponent(self, node: yaml.ScalarNode) -> float:
        self.exponents.append((node.start_mark.line + 1, node.value))
        return float(node.value)


_Loader.add_implicit_resolver("!exponent", _EXPONENT, list("-+.0123456789"))
_Loader.add_constructor("!exponent", _Loader.construct_exponent)


def load_yaml(text: str, where: str) -> tuple[Any, list[str]]:
    """Read YAML that is plain data, as JSON can hold it.

    Args:
        text: the file's content.
        where: the file's name, for messages.

    Returns:
        The data, and notes on what W&B's client reads otherwise, a sentence each.

    Raises:
        UserError: it is not YAML, a key stands twice, or a value is none of null, bool, int, finite float,
            text, list and mapping.
    """
    try:
        loader = _Loader(text)
        data = loader.get_single_data()
    except Exception as error:  # PyYAML's constructors raise anything when a tag does not fit its value
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}.") from None
    _check_plain(data, where, 0)
    notes = []
    if loader.exponents:
        line, number = loader.exponents[0]
        others = f" (and {len(loader.exponents) - 1} more)" if len(loader.exponents) > 1 else ""
        notes.append(
            f"{where}, line {line}: {number}{others} is a number here, but a text for W&B's client (YAML "
            f"1.1): write {_with_dot(number)} for both."
        )
    return data, notes


def _with_dot(number: str) -> str:
    mantissa, exponent = re.split("[eE]", number)
    sign = "" if exponent[0] in "+-" else "+"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{sign}{exponent}"


def _check_plain(value: Any, where: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise UserError(f"{where} is nested more than {_DEEPEST} deep, or contains itself.")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise UserError(f"{where}: the key {key!r} is not a text; put it in quotes.")
            _check_plain(inner, f"{where}: {key}" if depth == 0 else f"{where}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_plain(inner, f"{where}[{index}]", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} is {value}, which JSON and so W&B cannot hold; it must be finite.")
    elif not isinstance(value, str | bool | int | float | None):
        raise UserError(
            f"{where} is a {type(value).__name__} ({value}); allowed: null, true or false, numbers, texts, "
            "lists and mappings (put it in quotes if it is a text)."
        )
