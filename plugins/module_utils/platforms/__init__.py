# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the agent runs, and what is done with it there.

The names come from their files when they are first asked for: a health check of processes needs
nothing of Kubernetes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .host.cgroup import process_memory_limits
    from .kubernetes.options import kubernetes_argument
    from .kubernetes.proxied import ServerAccess, access_through_server

__all__ = [
    "ServerAccess",
    "access_through_server",
    "kubernetes_argument",
    "process_memory_limits",
]

_FILES = {"kubernetes_argument": "kubernetes.options", "process_memory_limits": "host.cgroup"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    file = _FILES.get(name, "kubernetes.proxied")
    return getattr(import_module(f".{file}", __name__), name)
