# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file system refuses, said as a `precondition`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import OperationError, Reason


@contextlib.contextmanager
def file_access(wanted: str, home: Path) -> Iterator[None]:
    """Turn an `OSError` into a `precondition` that names the file, or else the agent's home."""
    try:
        yield
    except OSError as error:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            f"{error.filename or home}: {(error.strerror or str(error)).lower()}",
            "Let this user read and write the agent's home, or run this as the user who may",
        ) from error
