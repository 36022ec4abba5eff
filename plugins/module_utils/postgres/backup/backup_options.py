# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core.errors import invalid_option
from ...core.operation import Params
from ...core.readable import read_duration
from ...repository import repository_arguments
from ..server.connection import Server, server_arguments
from ..sets.sealing import read_recipients

_LEVELS = range(1, 20)  # zstd's from 20 on need far more memory
_JOBS = range(1, 33)


def backup_arguments() -> dict[str, dict[str, Any]]:
    """The options of postgres_backup."""
    return {
        "database": {"type": "str", "default": "cost_agent"},
        **server_arguments(),
        **repository_arguments(),
        "jobs": {"type": "int", "default": 2},
        "compression_level": {"type": "int", "default": 1},
        "max_age": {"type": "str"},
        "exclude_schemas": {"type": "list", "elements": "str", "default": []},
        "exclude_tables": {"type": "list", "elements": "str", "default": []},
        "rate_limit_mb_s": {"type": "float"},
        "recipients": {"type": "list", "elements": "str", "default": []},
        "scratch": {"type": "path"},
        "lock_timeout_s": {"type": "float", "default": 60.0},
        "timeout_s": {"type": "float", "default": 86400.0},
        "state_store": {"type": "str"},
        "textfile": {"type": "path"},
    }


@dataclass(frozen=True)
class BackupOptions:
    """A backup's options, judged; times in seconds, `rate_limit` in bytes per second.

    `recipients` are the public keys that `recipient_texts` spell.
    """

    database: str
    server: Server
    bin_dir: str | None
    jobs: int
    level: int
    max_age_s: float | None
    exclude_schemas: list[str]
    exclude_tables: list[str]
    rate_limit: float | None
    recipient_texts: list[str]
    recipients: list[Any]
    scratch: str | None
    lock_timeout_s: float
    timeout_s: float

    @classmethod
    def of(cls, params: Params) -> BackupOptions:
        """Raises `invalid_input`, naming the option."""
        rate = params["rate_limit_mb_s"]
        return cls(
            database=params["database"],
            server=Server.of(params),
            bin_dir=params["bin_dir"],
            jobs=_within("jobs", params["jobs"], _JOBS),
            level=_within("compression_level", params["compression_level"], _LEVELS),
            max_age_s=params["max_age"] and read_duration("max_age", params["max_age"]),
            exclude_schemas=sorted(params["exclude_schemas"]),
            exclude_tables=sorted(params["exclude_tables"]),
            rate_limit=None if rate is None else 1e6 * _positive("rate_limit_mb_s", rate),
            recipient_texts=sorted(params["recipients"]),
            recipients=read_recipients(params["recipients"]),
            scratch=params["scratch"],
            lock_timeout_s=_positive("lock_timeout_s", params["lock_timeout_s"]),
            timeout_s=_positive("timeout_s", params["timeout_s"]),
        )


def _within(option: str, value: int, allowed: range) -> int:
    if value not in allowed:
        raise invalid_option(
            option, f"{value} is given", f"Give a number from {allowed[0]} to {allowed[-1]}"
        )
    return value


def _positive(option: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise invalid_option(option, f"{value:g} is given", "Give a number above 0")
    return value
