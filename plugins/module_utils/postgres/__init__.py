# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL: backup, restore, and the proof that a backup restores.

Other areas may use the names below; they come from their files when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server.connection import Server, connect, reach_arguments
    from .server.statements import rows

__all__ = ["Server", "connect", "reach_arguments", "rows"]

_FILES = {"rows": "statements"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".server.{_FILES.get(name, 'connection')}", __name__), name)
