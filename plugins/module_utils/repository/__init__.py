# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups and shared state live: `s3://bucket/prefix` or `file:///folder`.

The names come from their files when they are first asked for: a health check opens a folder as
its state store, and needs one of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .addresses import open_repository, open_state_store
    from .options import repository_arguments
    from .protocol import (
        MAX_PARTS,
        MIN_PART,
        NoSuchObject,
        Reader,
        Repository,
        StoredObject,
        Upload,
    )
    from .state_store import state_store_of

__all__ = [
    "MAX_PARTS",
    "MIN_PART",
    "NoSuchObject",
    "Reader",
    "Repository",
    "StoredObject",
    "Upload",
    "open_repository",
    "open_state_store",
    "repository_arguments",
    "state_store_of",
]

_FILES = {
    "open_repository": "addresses",
    "open_state_store": "addresses",
    "repository_arguments": "options",
    "state_store_of": "state_store",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FILES.get(name, 'protocol')}", __name__), name)
