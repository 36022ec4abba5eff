# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of objects: a file's path below a folder, and the same in a bucket."""

from __future__ import annotations

from ..core.errors import OperationError, Reason


def require_key(key: str) -> str:
    """The key; `invalid_input` unless it is names with / between them.

    No name is empty or begins with a dot, so that no key leaves the repository and every object
    is listed.
    """
    if "\0" in key or any(name == "" or name.startswith(".") for name in key.split("/")):
        raise OperationError(
            Reason.INVALID_INPUT,
            "find an object in the repository",
            f"{key!r} is not the key of one",
            "Give names with / between them, none of them empty or beginning with a dot",
        )
    return key


def require_folder(prefix: str) -> str:
    """The prefix of a folder's keys: empty, or ending in /."""
    if prefix:
        require_key(prefix[:-1] if prefix.endswith("/") else "")
    return prefix
