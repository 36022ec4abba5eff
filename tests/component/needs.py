# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What some tests need of the machine: without it they are skipped, and fail under CI."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import NoReturn

import pytest


def required(program: str | None, package: str) -> str:
    """The program that this package has."""
    if program is None:
        missing(f"needs redis-server of {package}")
    return program


def namespaces(unshare: Sequence[str]) -> None:
    """That this user may make the namespaces that a command of unshare(1) names."""
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        missing(f"needs to make namespaces: {tried.stderr.strip()}")


def missing(reason: object) -> NoReturn:
    """A need is not there: a failure where all of them are promised, else a reason to skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(reason), pytrace=False)
    pytest.skip(str(reason))
