# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment on disk, in the shell's own notation: `set -a; . ./environment` reads it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ...core.errors import OperationError, Reason
from ...core.state_store import write_atomically
from ..environment import Environment

_TITLE = "# Written by the agent module. Secret:"


def read(path: Path) -> Environment:
    """The environment in a file, empty without one; raises `precondition` and `OSError`."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return Environment()


def write(path: Path, environment: Environment) -> None:
    """Replace the file, readable for this user only; raises `OSError`."""
    write_atomically(path, render(environment).encode(), mode=0o600)


def render(environment: Environment) -> str:
    """The file's text; its first line names the secret variables."""
    title = " ".join([_TITLE, *sorted(environment.secret)])
    return f"{title}\n{assignments(environment.variables())}"


def assignments(variables: Mapping[str, str]) -> str:
    """A line for each variable, as a shell and systemd's EnvironmentFile both read it."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))


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
