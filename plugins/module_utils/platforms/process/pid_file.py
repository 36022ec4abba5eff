# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replica's pid file: first line its pid, for people and tools; second line its record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.process_identity import ProcessIdentity
from ..protocol import Specification


@dataclass(frozen=True)
class Record:
    """Which process a replica is, its port, and what it was started from.

    `started_at` is in seconds since the epoch.
    """

    process: ProcessIdentity
    port: int
    specification: Specification
    started_at: float


def read_record(pid_file: Path) -> Record | None:
    """The record, or None when there is no file or this code did not write it whole.

    Without a record a process cannot be told from a stranger, so a bare pid counts as nothing.
    Raises `OSError` for a file that cannot be read.
    """
    try:
        record = json.loads(pid_file.read_text(encoding="utf-8").splitlines()[1])
        return Record(
            process=ProcessIdentity(record["pid"], record["start_time"], record["machine"]),
            port=record["port"],
            specification=Specification(
                record["release"],
                record["release_digest"],
                record["environment_digest"],
                record["options"],
            ),
            started_at=record["started_at"],
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def unstarted(port: int, specification: Specification, machine: str) -> dict[str, Any]:
    """The record of a process that has yet to add its `pid`, `start_time` and `started_at`."""
    return {"machine": machine, "port": port, **asdict(specification)}
