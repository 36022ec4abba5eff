# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment on disk, in the shell's own notation: `set -a; . ./environment` reads it."""

from __future__ import annotations

import shlex

from ...core.errors import OperationError, Reason
from ..environment import Environment

_TITLE = "# Written by the agent module. Secret:"


def render(environment: Environment) -> str:
    """The file's text; its first line names the secret variables."""
    title = " ".join([_TITLE, *sorted(environment.secret)])
    variables = sorted(environment.variables().items())
    return "\n".join([title, *(f"{name}={shlex.quote(value)}" for name, value in variables), ""])


def parse(text: str, path: str) -> Environment:
    """The environment in a file's text; raises `precondition` when it was broken by hand."""
    title, _newline, _rest = text.partition("\n")
    secret_names = set(title[len(_TITLE) :].split()) if title.startswith(_TITLE) else set()
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise _broken(path, str(error).lower()) from error
    variables = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise _broken(path, "a word in it is not of the form NAME=value")
        variables[name] = value
    return Environment(
        {name: value for name, value in variables.items() if name not in secret_names},
        {name: value for name, value in variables.items() if name in secret_names},
    )


def _broken(path: str, seen: str) -> OperationError:
    return OperationError(
        Reason.PRECONDITION,
        f"read {path}",
        seen,
        "Correct it, or remove it and give environment and environment_secrets again",
    )
