"""`lit-seq list`: what there is to choose from."""

import argparse
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

CLASSES = {
    "cells": ("lit_seq.cells", "Cell"),
    "cores": ("lit_seq.cores", "Core"),
    "topologies": ("lit_seq.topologies", "Topology"),
    "tree-cells": ("lit_seq.cells.tree", "TreeCell"),
    "searches": ("lit_seq.topologies.decoding", "Search"),
    "data": ("lit_seq.data", "SequenceData"),
    "diagnostics": ("lit_seq.diagnostics", "Diagnostic"),
}
"""Package and base class of what is named by class."""

KINDS = {
    "cells": "--model.core.cell NAME",
    "cores": "--model.core NAME",
    "topologies": "--model NAME",
    "tree-cells": "--model Recursive --model.cell NAME",
    "searches": "--model EncoderDecoder --model.decoding NAME",
    "data": "--data NAME",
    "diagnostics": "--trainer.callbacks+=NAME",
    "sweeps": "lit-seq sweep NAME",
    "operators": "what scans a cell here: float32, hidden 128, batch 64",
}


def add_parser(subparsers: Any) -> None:
    """Add `list` to the command line."""
    parser = subparsers.add_parser("list", help="what there is to choose from", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=list(KINDS), help="default: all")


def run(arguments: argparse.Namespace) -> int:
    """Print names, each with a line on what it is."""
    for kind in [arguments.kind] if arguments.kind else KINDS:
        print(f"{kind} ({KINDS[kind]})")
        entries = list(_entries(kind))
        width = max((len(name) for name, _ in entries), default=0)
        for name, line in entries:
            print(f"  {name:{width}}  {line}")
        if not entries:
            print("  none here")
    return 0


def _entries(kind: str) -> Iterator[tuple[str, str]]:
    if kind == "sweeps":
        return _sweeps()
    if kind == "operators":
        return import_module("lit_seq.scan.overview").overview()
    return _classes(kind)


def _classes(kind: str) -> Iterator[tuple[str, str]]:
    package = import_module(CLASSES[kind][0])
    base = getattr(package, CLASSES[kind][1])
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value):
            yield name, (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")


def _sweeps() -> Iterator[tuple[str, str]]:
    for path in sorted(Path("sweeps").glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        description = content.get("description", "") if isinstance(content, dict) else ""
        yield str(path), " ".join(str(description).split())
