# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics in Prometheus's text format, for node_exporter's textfile collector.

Written here and not with prometheus_client: see docs/decisions/0010.
"""

from __future__ import annotations

from pathlib import Path

from .errors import OperationError, Reason
from .state_store import write_atomically

_MODE = 0o644  # node_exporter reads it as another user
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def write_textfile(path: str, text: str) -> None:
    """Replace the file at once, readable by everybody; `precondition` when it cannot be."""
    try:
        write_atomically(Path(path), text.encode(), _MODE)
    except OSError as error:
        raise OperationError(
            Reason.PRECONDITION,
            "write the Prometheus textfile",
            f"{path}: {error.strerror}",
            "Give a path in a folder that this user can write",
        ) from error


def head(metric: str, text: str) -> str:
    """The two lines above a gauge's samples."""
    return f"# HELP {metric} {text}\n# TYPE {metric} gauge"


def sample(metric: str, value: float, **labels: str) -> str:
    """One sample's line. A time of day keeps its milliseconds, other numbers 12 digits."""
    shown = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels.items())
    return f"{metric}{{{shown}}} {value:.13g}"
