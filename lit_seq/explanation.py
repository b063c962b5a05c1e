"""One sentence in place of the parser's ten lines."""

import inspect
import re
import typing
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import lightning as L
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.core.optimizer import LightningOptimizer

from lit_seq.cells import Cell
from lit_seq.cores import Core
from lit_seq.topologies import Topology

LATE: dict[type, tuple[str, ...]] = {
    Cell: ("input_size", "hidden_size"),
    Core: ("input_size",),
    Topology: ("task",),
    torch.optim.Optimizer: ("params",),
    torch.optim.lr_scheduler.LRScheduler: ("optimizer",),
}
"""Parameters that are filled in while building, not by the user."""

ROOTS: dict[str, type] = {
    "model": L.LightningModule,
    "data": L.LightningDataModule,
    "optimizer": torch.optim.Optimizer,
    "lr_scheduler": torch.optim.lr_scheduler.LRScheduler,
}


def explain(message: str, options: Iterable[str]) -> str:
    """Return what is wrong with a command line, and what is allowed.

    Args:
        message: jsonargparse's message.
        options: option strings that the parser takes.
    """
    for rule in (_unrecognised, _missing, _unknown_option, _no_class, _unknown_class, _wrong_value):
        sentence = rule(message, list(options))
        if sentence:
            return sentence
    return " ".join(message.split())


def _unrecognised(message: str, options: Sequence[str]) -> str | None:
    if found := re.search(r"Subcommand '\w+' does not accept option '(\S+)'", message):
        close = get_close_matches(f"--{found[1]}", options, 1)
        return f"There is no key {found[1]}" + (f"; did you mean {close[0][2:]}?" if close else ".")
    found = re.search(r"unrecognized arguments: (\S+)", message, re.IGNORECASE)
    if not found:
        return None
    given = found[1].partition("=")[0]
    if not given.startswith("-"):
        return f"{given!r} stands alone; give options as --KEY VALUE."
    close = get_close_matches(given, options, 1)
    hint = f"did you mean {close[0]}?" if close else "`lit-seq fit --help` lists the options."
    return f"There is no option {given}; {hint}"


def _missing(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"arguments? are required: ([\w., ]+)", message)
    if found:
        names = [f"--{name.strip().partition('.')[2] or name.strip()}" for name in found[1].split(",")]
        kinds = [_choices(ROOTS[name[2:]]) for name in names if name[2:] in ROOTS]
        return (
            f"{' and '.join(names)} must be given"
            + "".join(f"; one of {', '.join(kind)}" for kind in kinds)
            + "."
        )
    found = re.search(r'expected "subcommand" to be one of {([\w,]+)}', message)
    return f"Say what to do: lit-seq {found[1].replace(',', '|')}." if found else None


def _unknown_option(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"Option '([\w.]+)' is not accepted", message)
    if found:
        name = found[1]
        owner = _owner(message, name) or _last(r"Problem with given class_path '([\w.]+)'", message)
    else:
        found = re.search(r"(?:Key|key) '([\w.]+)' is not expected", message) or re.search(
            r"No action for key \"([\w.]+)\"", message
        )
        if not found:
            return None
        name, owner = found[1].rpartition(".")[2], _last(r"Problem with given class_path '([\w.]+)'", message)
    if owner is None:
        close = get_close_matches(f"--{found[1]}", options, 1)
        return f"There is no key {found[1]}" + (f"; did you mean {close[0][2:]}?" if close else ".")
    allowed = _parameters(_import(owner))
    close = get_close_matches(name, allowed, 1)
    hint = f"did you mean {close[0]}? Allowed" if close else "allowed"
    return (
        f"{_path(message, name)}: {owner.rpartition('.')[2]} has no option {name!r}; {hint}: "
        f"{', '.join(allowed) or 'none'}."
    )


def _no_class(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"Expected an import path or a subclass spec, but got (.*?)\. Got value", message)
    if not found:
        return None
    key = re.findall(r'[Pp]arser key "([\w.]+)"', message)[-1]
    return f"{_path(message, key)} must be the name of a class, not {found[1]}."


def _unknown_class(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"Expected a dot import path string: (\S+?)(?:\.? |\.?$|\. Got)", message, re.MULTILINE)
    if not found:
        return None
    given = found[1].rstrip(".")
    key = re.findall(r'[Pp]arser key "([\w.]+)"', message)[-1]
    base = ROOTS.get(key)
    if base is None:
        owner = _owner(message, key) or _last(r"Problem with given class_path '([\w.]+)'", message)
        base = _class_of(_import(owner), key) if owner else None
    if base is None or base.__module__ == "builtins":
        return f"{_path(message, key)} must be {base.__name__}, not {given}." if base else None
    close = get_close_matches(given, _choices(base), 1)
    hint = f"did you mean {close[0]}? Allowed" if close else "allowed"
    return (
        f"{_path(message, key)}: there is no {base.__name__} {given!r}; {hint}: "
        f"{', '.join(_choices(base))}, or a class by its import path."
    )


def _wrong_value(message: str, options: Sequence[str]) -> str | None:
    expected = re.findall(
        r"Expected a (typing\.\S.*?|<class '[\w.]+'>)(?:\. Got value|$)", message, re.MULTILINE
    )
    keys = re.findall(r'[Pp]arser key "([\w.]+)"', message)
    if not expected or not keys:
        return None
    kinds = [re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", kind) for kind in expected]
    wanted = [kind for kind in dict.fromkeys(kinds) if kind not in ("NoneType", "Tensor")] or kinds
    literals = [found[1] for kind in wanted if (found := re.fullmatch(r"typing\.Literal\[(.*)\]", kind))]
    allowed = f"one of {', '.join(literals)}" if literals else " or ".join(wanted)
    given = _given(message)
    shown = "" if given is None else f", not {given}"
    return f"{_path(message, keys[-1])} must be {allowed}{shown}."


def _given(message: str) -> str | None:
    """Return the value that was given, as it was written."""
    for pattern in (
        r"Given value: NestedArg\(key='[\w.]+', val=(.*)\)$",
        r"Got value: (.*?)\.? ?(?:Got value|$)",
        r"Given value: (.*)$",
    ):
        if found := re.search(pattern, message, re.MULTILINE):
            return re.sub(r"^'(.+)'$", r"\1", found[1]) or "an empty text"
    return None


def _path(message: str, name: str) -> str:
    """Return the full option that was given, such as --model.core.cell."""
    root = re.findall(r'[Pp]arser key "([\w.]+)"', message)
    nested = re.findall(r"NestedArg\(key='([\w.]+)'", message)
    if root and nested:
        # The deepest key comes first where messages nest; the outermost, longest one stands last.
        return f"--{root[0]}.{nested[-1]}"
    chain = [*root, name] if root and root[-1] != name else root or [name]
    return "--" + ".".join(chain)


def _owner(message: str, name: str) -> str | None:
    return _last(rf"class_path='([\w.]+)', init_args=Namespace\({re.escape(name)}=", message)


def _last(pattern: str, message: str) -> str | None:
    found = re.findall(pattern, message)
    return found[-1] if found else None


def _import(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)


def _class_of(owner: Any, key: str) -> type | None:
    """Return the class that parameter `key` of `owner` takes, or that the callable it takes returns."""
    annotation = typing.get_type_hints(owner.__init__).get(key)
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and not isinstance(part, type(None)) and part is not type(None):
            return part
    return None


def _parameters(owner: type) -> list[str]:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(owner, fail_untyped=False)
    late = [name for base, names in LATE.items() if issubclass(owner, base) for name in names]
    return [name for name in vars(parser.get_defaults()) if name not in late]


def _choices(base: type) -> list[str]:
    names: set[str] = set()
    child: type
    for child in base.__subclasses__():
        if issubclass(child, LightningOptimizer):
            # Made as a run wraps its optimiser, and there until the collector comes by.
            continue
        if not inspect.isabstract(child) and not child.__name__.startswith("_"):
            names.add(child.__name__)
        names.update(_choices(child))
    return sorted(names)
