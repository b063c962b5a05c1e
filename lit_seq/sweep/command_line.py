"""The `command` of a sweep file, made into a trial's command line as W&B's agent does it."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_seq.errors import UserError
from lit_seq.sweep.checks import did_you_mean
from lit_seq.sweep.parameters import Parameter, nested

MACROS = (
    "${env}",
    "${interpreter}",
    "${program}",
    "${args}",
    "${args_no_equals}",
    "${args_no_hyphens}",
    "${args_no_boolean_flags}",
    "${args_json}",
    "${args_json_file}",
)
_PARAMETERS = {macro for macro in MACROS if macro.startswith("${args")}
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_MACRO = re.compile(r"\$\{([^}]*)\}")
_OWN_KEYS = ("name", "ckpt_path")


def check_command(command: list[str], program: str | None, parameters: list[Parameter], where: str) -> None:
    """Check what does not depend on a trial's values.

    Args:
        command: the file's `command`.
        program: the file's `program`.
        parameters: the file's parameters.
        where: the file's name, for messages.

    Raises:
        UserError: a macro is unknown or would not be substituted, an environment variable is not set, the
            command starts anything but lit-seq fit, or its trials would not get the parameters.
    """
    for word in command:
        _check_macros(word, f"{where}: command")
    if "${program}" in command and program is None:
        raise UserError(f"{where}: command has ${{program}}, but the key 'program' is missing.")
    sample = nested(parameters, [parameter.at(0.5) for parameter in parameters])
    options = {
        word.split("=")[0] for word in fit_arguments(command, program, sample, Path("args.json"), where)
    }
    for key in _OWN_KEYS:
        if f"--{key}" in options or any(parameter.name == key for parameter in parameters):
            raise UserError(f"{where}: the sweep itself sets {key!r} for each trial; leave it out.")
    if not _PARAMETERS & set(command):
        raise UserError(
            f"{where}: command hands no parameter to its trials; add '--config', '${{args_json_file}}', or "
            "'${args}'."
        )


def fit_arguments(
    command: list[str], program: str | None, values: dict[str, Any], json_file: Path, where: str
) -> list[str]:
    """Return a trial's arguments after `lit-seq`: "fit", then its options.

    Args:
        command: the file's `command`.
        program: the file's `program`.
        values: the trial's values, as `nested` gives them.
        json_file: where `values` lie as JSON.
        where: the file's name, for messages.

    Raises:
        UserError: the command starts anything else.
    """
    words = substitute(command, program, values, json_file)
    if words and words[0] == "/usr/bin/env":
        words = words[1:]
    if words and Path(words[0]).name == "lit-seq":
        words = words[1:]
    elif (
        len(words) > 2
        and re.match(r"python[0-9.]*$", Path(words[0]).name)
        and words[1:3] == ["-m", "lit_seq"]
    ):
        words = words[3:]
    else:
        words = []
    if words[:1] != ["fit"]:
        raise UserError(
            f"{where}: command must start lit-seq fit or python -m lit_seq fit, such as "
            f"[lit-seq, fit, --config, '${{args_json_file}}'], not {' '.join(command[:4])!r}."
        )
    return words


def substitute(command: list[str], program: str | None, values: dict[str, Any], json_file: Path) -> list[str]:
    """Fill in the macros as `wandb.wandb_agent.Agent` 0.31 does, keys in alphabetical order.

    A macro is substituted where it is a whole element, ${envvar:NAME} anywhere. Values reach ${args} as
    Python writes them (`str`), and JSON as JSON.
    """
    values = dict(sorted(values.items()))
    flags = [f"{key}={value}" for key, value in values.items()]
    macros: Mapping[str, list[str]] = {
        "${env}": ["/usr/bin/env"],
        "${interpreter}": ["python"],
        "${program}": [str(program)],
        "${args}": [f"--{flag}" for flag in flags],
        "${args_no_equals}": [part for key, value in values.items() for part in (f"--{key}", str(value))],
        "${args_no_hyphens}": flags,
        "${args_no_boolean_flags}": [
            f"--{key}" if value is True else f"--{key}={value}"
            for key, value in values.items()
            if value is not False
        ],
        "${args_json}": [json.dumps(values)],
        "${args_json_file}": [str(json_file)],
    }
    words = [_VARIABLE.sub(lambda variable: os.environ[variable[1]], word) for word in command]
    return [part for word in words for part in macros.get(word, [word])]


def _check_macros(word: str, where: str) -> None:
    for macro in _MACRO.finditer(word):
        name = macro[1]
        if name.startswith("envvar:"):
            if not _VARIABLE.fullmatch(macro[0]):
                raise UserError(
                    f"{where}: {macro[0]} must name its variable in capitals, as ${{envvar:HOME}}."
                )
            if name.removeprefix("envvar:") not in os.environ:
                raise UserError(f"{where}: the environment variable of {macro[0]} is not set.")
        elif macro[0] not in MACROS:
            raise UserError(
                f"{where}: unknown {macro[0]}{did_you_mean(macro[0], MACROS)}; allowed: {', '.join(MACROS)}, "
                "${envvar:NAME}."
            )
        elif word != macro[0]:
            raise UserError(
                f"{where}: W&B's agent does not substitute {macro[0]} inside {word!r}; make it an element of "
                "its own."
            )
