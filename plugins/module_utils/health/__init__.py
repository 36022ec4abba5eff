# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: probes -> samples -> indicators -> verdict.

Other areas may use the names here: how replicas are asked over HTTP, and what answers say. They
come from their files when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .arguments import replica_options
    from .conversation import Request
    from .curl_sender import CurlSender, Transport
    from .exchange import OK, TIMED_OUT, Exchange, judge
    from .indicators import percentile
    from .plan import (
        check_text,
        let_through,
        read_path,
        read_targets,
        read_transport,
        require_between,
    )
    from .sweep import Sender, no_collector, open_files

__all__ = [
    "OK",
    "TIMED_OUT",
    "CurlSender",
    "Exchange",
    "Request",
    "Sender",
    "Transport",
    "check_text",
    "judge",
    "let_through",
    "no_collector",
    "open_files",
    "percentile",
    "read_path",
    "read_targets",
    "read_transport",
    "replica_options",
    "require_between",
]

_FILES = {
    "OK": "exchange",
    "TIMED_OUT": "exchange",
    "CurlSender": "curl_sender",
    "Exchange": "exchange",
    "Request": "conversation",
    "Sender": "sweep",
    "Transport": "curl_sender",
    "check_text": "plan",
    "judge": "exchange",
    "let_through": "plan",
    "no_collector": "sweep",
    "open_files": "sweep",
    "percentile": "indicators",
    "read_path": "plan",
    "read_targets": "plan",
    "read_transport": "plan",
    "replica_options": "arguments",
    "require_between": "plan",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FILES[name]}", __name__), name)
